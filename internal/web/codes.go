package web

import (
	"context"
	"time"

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
	if key.Kind == otp.HOTP {
		return CodeView{}
	}
	c := key.At(now)
	return CodeView{Code: c.Value, Next: key.At(c.Until).Value, From: stamp(c.From), Until: stamp(c.Until)}
}

type accountCode struct {
	AccountID string `json:"account_id" format:"uuid"`
	CodeView
}

type codeList struct {
	Now   string        `json:"now" format:"date-time" doc:"the server's clock, to count down by"`
	Codes []accountCode `json:"codes"`
}

// listCodes answers with all codes that come from the time, of one moment.
func (s *site) listCodes(ctx context.Context, session store.Session, _ *struct{}) (*body[codeList], error) {
	accounts, err := s.Store.Accounts(ctx, session.User.ID)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	list := codeList{Now: stamp(now), Codes: make([]accountCode, 0, len(accounts))}
	for _, a := range accounts {
		if key := keyOf(a); key.Kind != otp.HOTP {
			list.Codes = append(list.Codes, accountCode{a.ID.String(), codeAt(key, now)})
		}
	}
	return answerWith(list), nil
}

type previewInput struct{ Body keyInput }

type preview struct {
	Account  accountView `json:"account"`
	Now      string      `json:"now" format:"date-time"`
	Warnings []string    `json:"warnings"`
	CodeView
}

// previewAccount computes a code and stores nothing.
func (s *site) previewAccount(_ context.Context, _ store.Session, in *previewInput) (*body[preview], error) {
	key, warnings, err := in.Body.read()
	if err != nil {
		return nil, err
	}
	now := s.Now()
	p := preview{Now: stamp(now), Warnings: append([]string{}, warnings...), CodeView: codeAt(key, now)}
	if key.Kind == otp.HOTP {
		p.Code = key.HOTP(key.Counter)
	}
	p.Account = accountView{
		Kind: string(key.Kind), Issuer: key.Issuer, Account: key.Account, Note: in.Body.Note,
		Algorithm: string(key.Algorithm), Digits: key.Digits, Period: key.Period, Counter: int64(key.Counter), //nolint:gosec // Validate allows none above
	}
	return answerWith(p), nil
}

type counterCode struct {
	Code    string `json:"code" example:"123456"`
	Counter int64  `json:"counter" doc:"the one that this code used up"`
}

// advanceCounter shows the next code of a counter, which is thereby used up.
func (s *site) advanceCounter(ctx context.Context, session store.Session, in *idInput) (*body[counterCode], error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	account, err := s.Store.AdvanceCounter(ctx, session.User, id, visitorOf(ctx).from)
	if err != nil {
		return nil, err
	}
	key := keyOf(account)
	return answerWith(counterCode{key.HOTP(key.Counter), account.Counter}), nil
}
