package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/otp"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
	"github.com/avtotpy/avtotpy/internal/transfer"
)

// newForm adds what was typed as the page's script does. What a person should see before it is added is shown on a page
// of its own first: several accounts, warnings, a secret that is there already, a question.
func (s *site) newForm(r *http.Request, p auth.Principal) (posted, error) {
	again := posted{again: asIs(newPage)}
	if r.PostForm.Has("back") {
		shown := newPage(form{values: r.PostForm})
		return posted{shown: &shown}, nil
	}
	submission, err := submissionOf(r.PostFormValue("submission"))
	if err != nil {
		return again, err
	}
	entries, err := enteredIn(r)
	if err != nil {
		return again, inBox(err)
	}
	accounts, err := p.Accounts(r.Context())
	if err != nil {
		return again, err
	}
	rows := transfer.Review(entries, existing(accounts))
	review := func(f form) page { return s.reviewPage(rows, f) }
	if !r.PostForm.Has("reviewed") {
		added, err := p.Submitted(r.Context(), submission)
		if err != nil {
			return again, err
		}
		if !added && (len(rows) > 1 || len(rows[0].Warnings) > 0) {
			shown := review(form{values: r.PostForm})
			return posted{shown: &shown}, nil
		}
		r.PostForm["take"] = []string{"1"}
	}
	again = posted{again: asIs(review)}
	chosen, err := chosenOf(rows, r.PostForm)
	if err != nil {
		return again, err
	}
	again.next, err = addAll(r.Context(), p, chosen, submission, trim(r, "note"))
	return again, err
}

// addAll adds the keys that are there by the numbers of their rows, and returns where the first one is shown. Each has
// a submission of its own: what was added before an error is not added again.
func addAll(ctx context.Context, p auth.Principal, keys map[int]otp.Key, submission uuid.UUID,
	note string,
) (next string, err error) {
	for number := range transfer.Most + 1 {
		key, ok := keys[number]
		if !ok {
			continue
		}
		one := store.NewAccount{Key: key, Submission: submission}
		if number == 1 {
			one.Note = note
		} else {
			one.Submission = uuid.NewSHA1(submission, []byte(strconv.Itoa(number)))
		}
		account, _, err := p.CreateAccount(ctx, one)
		if err != nil {
			return "", err
		}
		next = cmp.Or(next, "/#account-"+account.ID.String())
	}
	return next, nil
}

func submissionOf(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.New(), nil
	}
	submission, err := uuid.Parse(text)
	if err != nil {
		return submission, &failure{status: http.StatusUnprocessableEntity, text: "The submission is not a UUID."}
	}
	return submission, nil
}

// enteredIn reads the form: several links or secrets, or one with what was typed besides it. A field for numbers that
// holds something else is wrong; what belongs to another kind of code is not read.
func enteredIn(r *http.Request) ([]transfer.Entry, error) {
	box := r.PostFormValue("box")
	entries := transfer.Links(box)
	if len(entries) > 1 {
		return entries, nil
	}
	in := keyInput{Issuer: trim(r, "issuer"), Account: trim(r, "account"), Note: trim(r, "note")}
	if isLink(box) {
		in.Link = box
	} else {
		in.Secret, in.Kind = box, string(cmp.Or(otp.ParseKind(r.PostFormValue("kind")), otp.TOTP))
		if err := in.readNumbers(r); err != nil {
			return nil, err
		}
	}
	key, warnings, err := in.read()
	if err != nil {
		return nil, err
	}
	for _, one := range entries[0].Warnings {
		if one.Code == transfer.WarnJoined {
			warnings = append(warnings, one)
		}
	}
	return []transfer.Entry{{Key: key, Warnings: warnings}}, nil
}

func (in *keyInput) readNumbers(r *http.Request) error {
	if in.Kind != string(otp.Steam) {
		in.Algorithm = r.PostFormValue("algorithm")
	}
	var found problem.List
	number := func(name string, kinds ...otp.Kind) (n int64) {
		text := trim(r, name)
		if !slices.Contains(kinds, otp.Kind(in.Kind)) || otp.Unset(text) {
			return 0
		}
		n, err := strconv.ParseInt(text, 10, 64)
		switch tooLarge := errors.Is(err, strconv.ErrRange) && n > 0; {
		case tooLarge && name == "counter": // of the others the key's check says what is possible
			found.Add(name, otp.CounterRange, text, 0, uint64(otp.MaxCounter))
		case err != nil && !tooLarge || n < 0:
			found.Add(name, notANumber)
		}
		return n
	}
	in.Digits = int(number("digits", otp.TOTP, otp.HOTP))
	in.Period = int(number("period", otp.TOTP))
	in.Counter = number("counter", otp.HOTP)
	return found.Err()
}

func existing(accounts []store.Account) []transfer.Existing {
	all := make([]transfer.Existing, 0, len(accounts))
	for _, a := range accounts {
		all = append(all, transfer.Existing{Key: a.Key, Name: nameOfKey(a.Key)})
	}
	return all
}

// nameOfKey is what people call an account.
func nameOfKey(k otp.Key) string {
	v := viewOfKey(k)
	if k.Issuer == "" || k.Account == "" {
		return v.Title()
	}
	return v.Title() + ", " + k.Account
}

// What can be wrong with a choice of rows.
const (
	notAnswered problem.Code = "kind.not-answered"
)

var errNothingChosen = &failure{status: http.StatusUnprocessableEntity, text: "Nothing is chosen."}

// chosenOf returns the keys of the rows that were chosen, by number, as the questions about them were answered.
func chosenOf(rows []transfer.Row, values url.Values) (map[int]otp.Key, error) {
	chosen := map[int]otp.Key{}
	var found problem.List
	for i, row := range rows {
		number := strconv.Itoa(i + 1)
		if len(row.Problems) > 0 || !slices.Contains(values["take"], number) {
			continue
		}
		key := row.Key
		if asks(row) {
			switch kind := otp.ParseKind(values.Get("kind-" + number)); kind {
			case otp.TOTP, otp.Steam:
				key.Kind = kind
			default:
				found.Add("kind-"+number, notAnswered)
			}
		}
		chosen[i+1] = key.Canonical()
	}
	if len(chosen) == 0 {
		return nil, errNothingChosen
	}
	return chosen, found.Err()
}

// asks reports a row with a question: codes of Steam, or five digits?
func asks(row transfer.Row) bool {
	return slices.ContainsFunc(row.Warnings, func(one problem.Problem) bool { return one.Code == otp.WarnSteam })
}

// A reviewView is the page that shows what is about to be added.
type reviewView struct {
	Message string
	Rows    []reviewRow
	Fit     int // how many can be added
	Kept    []typedField
}

type reviewRow struct {
	Number             string
	Account            accountView
	Taken, Fit         bool
	Warnings, Problems []string
	Kind               *field // the question, where there is one
}

func (s *site) reviewPage(rows []transfer.Row, f form) page {
	v := reviewView{Message: f.message}
	for _, name := range []string{
		"submission", "box", "issuer", "account", "note", "kind", "algorithm", "digits",
		"period", "counter",
	} {
		v.Kept = append(v.Kept, typedField{name, f.values.Get(name)})
	}
	for i, row := range rows {
		number := strconv.Itoa(i + 1)
		one := reviewRow{Number: number, Fit: len(row.Problems) == 0, Taken: !row.Duplicate}
		if f.values.Has("reviewed") {
			one.Taken = slices.Contains(f.values["take"], number)
		}
		for _, p := range row.Problems {
			one.Problems = append(one.Problems, sentenceOf(p))
		}
		for _, p := range row.Warnings {
			if p.Code != otp.WarnSteam {
				one.Warnings = append(one.Warnings, sentenceOf(p))
			}
		}
		if one.Fit {
			v.Fit++
			one.Account = viewOfKey(row.Key)
			one.Account.code = previewOf(row.Key, s.Now())
		}
		if asks(row) {
			steam := row.Key
			steam.Kind = otp.Steam
			question := f.field(field{
				Name: "kind-" + number, Label: "Which code does the site expect?",
				Options: []option{
					{"", "Choose one"},
					{string(otp.Steam), "Steam's: " + steam.At(s.Now()).Value},
					{string(otp.TOTP), "Five digits: " + one.Account.Code()},
				},
			})
			one.Kind = &question
		}
		v.Rows = append(v.Rows, one)
	}
	return page{Name: "review", Title: "Check before adding", View: v}
}

// isLink reports whether the box holds one: no base32 secret has a colon.
func isLink(box string) bool { return strings.Contains(box, ":") }

// inBox moves what is wrong with a link or a secret to the field where both are typed.
func inBox(err error) error {
	problems, ok := errors.AsType[problem.List](err)
	if !ok {
		return err
	}
	moved := slices.Clone(problems)
	for i := range moved {
		if moved[i].Field == "link" || moved[i].Field == "secret" {
			moved[i].Field = "box"
		}
	}
	return moved
}
