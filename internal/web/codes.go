package web

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A CodeView is the code of a moment, and the one after it. It is exported for the
// description of the API, which sees no others that are embedded.
type CodeView struct {
	Code  string `json:"code" example:"123456"`
	Next  string `json:"next" doc:"the code from until on; empty for kind hotp"`
	From  string `json:"from" format:"date-time"`
	Until string `json:"until" format:"date-time"`
}

// milliseconds is how times are written for pages that count down.
const milliseconds = "2006-01-02T15:04:05.000Z07:00"

func stamp(t time.Time) string { return t.UTC().Format(milliseconds) }

// codeAt returns what a page shows of a key now; nothing for a counter, whose codes are
// used up by being shown.
func codeAt(key otp.Key, now time.Time) CodeView {
	var last stamped
	return last.codeAt(key, now)
}

// A stamped is a code whose times are written already. Most keys have the times of the one before.
type stamped struct {
	otp.Code
	from, until string
}

func (last *stamped) codeAt(key otp.Key, now time.Time) CodeView {
	if key.Kind == otp.HOTP {
		return CodeView{}
	}
	c := key.At(now)
	if last.from == "" || !c.From.Equal(last.From) || !c.Until.Equal(last.Until) {
		*last = stamped{c, stamp(c.From), stamp(c.Until)}
	}
	return CodeView{Code: c.Value, Next: key.At(c.Until).Value, From: last.from, Until: last.until}
}

type accountCode struct {
	AccountID string `json:"account_id" format:"uuid"`
	CodeView
}

type codeList struct {
	Now     string        `json:"now" format:"date-time" doc:"the server's clock, to count down by"`
	Version string        `json:"version" doc:"changes when an account is added, changed or deleted"`
	Codes   []accountCode `json:"codes"`
}

// listCodes answers with all codes that come from the time, of one moment.
func (s *site) listCodes(ctx context.Context, _ *struct{}) (*body[codeList], error) {
	memory := s.memory.Get().(*[]store.Account) //nolint:forcetypeassert // there is nothing else
	defer func() {
		clear((*memory)[:cap(*memory)]) // no secret outlives its request
		s.memory.Put(memory)
	}()
	who, accounts, err := s.gate.Codes(ctx, visitorOf(ctx).visit(), (*memory)[:0])
	if cap(accounts) > cap(*memory) {
		*memory = accounts
	}
	if err == nil {
		err = s.takeTurn(ctx, who.User())
	}
	if err != nil {
		return nil, err
	}
	now := s.Now()
	list := codeList{Now: stamp(now), Version: versionOf(accounts), Codes: make([]accountCode, 0, len(accounts))}
	var last stamped
	for i := range accounts {
		if a := &accounts[i]; a.Kind != otp.HOTP && !a.Damaged {
			list.Codes = append(list.Codes, accountCode{a.ID.String(), last.codeAt(a.Key, now)})
		}
	}
	return answerWith(list), nil
}

// appendJSON appends what encoding/json writes. None of the texts holds a character that has to be escaped.
func (l codeList) appendJSON(b []byte) []byte {
	b = append(append(b, `{"now":"`...), l.Now...)
	b = append(append(b, `","version":"`...), l.Version...)
	b = append(b, `","codes":[`...)
	for i, c := range l.Codes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"account_id":"`...), c.AccountID...)
		b = append(append(b, `","code":"`...), c.Code...)
		b = append(append(b, `","next":"`...), c.Next...)
		b = append(append(b, `","from":"`...), c.From...)
		b = append(append(b, `","until":"`...), c.Until...)
		b = append(b, `"}`...)
	}
	return append(b, "]}\n"...)
}

// versionOf is another one when an account was added, changed or deleted, in whatever order they are.
func versionOf(accounts []store.Account) string {
	var sum uint64
	one, text := fnv.New64a(), make([]byte, 0, len(uuid.UUID{})+8) // for all of them: a user may have hundreds
	for i := range accounts {
		a := &accounts[i]
		text = binary.BigEndian.AppendUint64(append(text[:0], a.ID[:]...), uint64(a.UpdatedAt.UnixMicro()))
		one.Reset()
		_, _ = one.Write(text) // a hash never fails
		sum += one.Sum64()
	}
	return strconv.FormatUint(sum, 36)
}

type counterCode struct {
	Code    string `json:"code" example:"123456"`
	Counter int64  `json:"counter" doc:"the one that this code used up"`
}

// advanceCounter shows the next code of a counter, which is thereby used up.
func (s *site) advanceCounter(ctx context.Context, p auth.Principal, in *idInput) (*body[counterCode], error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	account, err := p.AdvanceCounter(ctx, id)
	if err != nil {
		return nil, err
	}
	return answerWith(counterCode{account.HOTP(account.Counter), viewOf(account).Counter}), nil
}

// advanceForm is advanceCounter without a script: the list shows the code then.
func (s *site) advanceForm(r *http.Request, p auth.Principal) (posted, error) {
	id, err := idInput{r.PathValue("id")}.id()
	if err != nil {
		return posted{}, err
	}
	// The form says which code it was sent for, so that two clicks use up one.
	if at, numberErr := strconv.ParseUint(r.PostFormValue("counter"), 10, 63); numberErr == nil {
		_, err = p.AdvanceCounterFrom(r.Context(), id, at)
	} else {
		_, err = p.AdvanceCounter(r.Context(), id)
	}
	if errors.Is(err, store.ErrMoved) { // the list shows the code that was used last
		err = nil
	}
	return posted{next: "/#account-" + id.String()}, err
}

// A listView is the page of all codes.
type listView struct {
	Accounts []accountView
	Version  string
	Deleted  *accountView // what was deleted just now, and can be brought back
}

func (s *site) listPage(r *http.Request, p auth.Principal) (page, error) {
	accounts, err := s.accounts(r.Context(), p)
	v := listView{Version: versionOf(accounts)}
	now := s.Now()
	for _, a := range accounts {
		v.Accounts = append(v.Accounts, withCode(a, now))
	}
	if id, err := uuid.Parse(r.URL.Query().Get("deleted")); err == nil {
		if deleted, err := p.Deleted(r.Context(), id); err == nil { // otherwise it was restored, or never there
			shown := viewOf(deleted)
			v.Deleted = &shown
		}
	}
	return page{Name: "list", Title: "Codes", View: v, Compressed: true}, err
}

// withCode is an account with the code of a moment; of a counter, with the code that was used last:
// after a reload of the page it may still have to be typed.
func withCode(a store.Account, now time.Time) accountView {
	shown := viewOf(a)
	if a.Damaged {
		return shown
	}
	shown.code = codeAt(a.Key, now)
	if a.Kind == otp.HOTP && a.Counter > 0 {
		shown.code.Code = a.HOTP(a.Counter - 1)
	}
	return shown
}
