package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/database"
	"github.com/avtotpy/avtotpy/internal/keyring"
	"github.com/avtotpy/avtotpy/internal/problem"
	"github.com/avtotpy/avtotpy/internal/store"
)

// A failure is an error with its HTTP status and a sentence for the client.
type failure struct {
	status     int
	text       string
	retryAfter time.Duration
	kind       string         // a URI for programs (RFC 9457); empty: the status says all
	event      auth.EventKind // what it is for those who watch; empty: nothing
}

func (f *failure) Error() string { return f.text }

// What can be wrong with a request as a whole.
var (
	errNoPage    = &failure{status: http.StatusNotFound, text: "There is nothing at this address."}
	errLoggedOut = &failure{
		status: http.StatusUnauthorized,
		text:   "You are not logged in, or your session has ended.",
	}
	errCrossOrigin = &failure{status: http.StatusForbidden, text: notOurs, event: auth.EventCrossOrigin}
	errNoOrigin    = &failure{status: http.StatusForbidden, text: saysNothing, event: auth.EventNoOrigin}
	errLocked      = &failure{
		status: http.StatusUnauthorized, kind: sessionLocked,
		text: "Your session is locked, because it was not used for a while. Enter your password to go on.",
	}
	errNoForm    = &failure{status: http.StatusBadRequest, text: "The form could not be read. Load the page again."}
	errNotJSON   = &failure{status: http.StatusUnsupportedMediaType, text: "The body has to be application/json."}
	errSetupDone = &failure{status: http.StatusConflict, text: "There is a user already. Log in."}
	errNotHOTP   = &failure{
		status: http.StatusConflict,
		text:   "This account has no counter: its codes come from the time.",
	}
	errSpent     = &failure{status: http.StatusConflict, text: "The counter of this account has reached its end."}
	errTrashFull = &failure{
		status: http.StatusConflict,
		text:   "The trash is full. Delete something in it for good first.",
	}
	errFull = &failure{
		status: http.StatusConflict,
		text: fmt.Sprintf("This vault is full: it holds %d accounts. Delete some that you do not need.",
			store.AccountsAtMost),
	}
	errDamaged = &failure{
		status: http.StatusConflict,
		text: "This account cannot be opened: what the database has of it was altered or damaged. It can only " +
			"be deleted.",
	}
	errReadOnly = &failure{status: http.StatusForbidden, text: "You may use this account, but not change it."}
	errNotFound = &failure{
		status: http.StatusNotFound, text: "There is no such thing here, or it is not yours.",
		event: auth.EventUnknownID,
	}
	// To end or to delete something twice, with two clicks, is no mistake to explain at length.
	errNoSession = &failure{
		status: http.StatusNotFound, text: "This session has ended already, or is not yours.",
		event: auth.EventUnknownID,
	}
	errNotInTrash = &failure{
		status: http.StatusNotFound, text: "This account is not in the trash any more, or is not yours.",
		event: auth.EventUnknownID,
	}
	errWrongLogin = &failure{status: http.StatusUnauthorized, text: "Name or password is wrong."}
)

const (
	notOurs     = "This request came from another site. Open AVTotpy in a tab of its own."
	saysNothing = "This request has a cookie and does not say where it comes from: it has neither Sec-Fetch-Site " +
		"nor Origin. " +
		"Use a browser that sends one of them; a program can send Origin with this server's address."
)

// sessionLocked says to a page that its session goes on when the password is entered, without leaving the page.
const sessionLocked = "urn:avtotpy:session-locked"

// sentence is the text with what to do, for a page.
func (f *failure) sentence() string {
	if f.status == http.StatusTooManyRequests {
		return fmt.Sprintf("%s Try again in %s s.", f.text, retryAfter(f.retryAfter))
	}
	return f.text
}

// soon is when to ask a server again that cannot serve.
const soon = 5 * time.Second

// notReady means that the schema does not fit this program, or the database is away.
func notReady(why error) error {
	return &failure{
		status: http.StatusServiceUnavailable, text: "AVTotpy is not ready: " + why.Error() + ".",
		retryAfter: soon,
	}
}

// A fieldProblem is a sentence about one field.
type fieldProblem struct{ Field, Message string }

// toFailure turns any error into what a visitor may read: a failure, or problems of fields.
// What was not foreseen is logged under a reference that the answer shows.
func (s *site) toFailure(ctx context.Context, err error) (*failure, []fieldProblem) {
	f, problems := s.failureOf(ctx, err)
	if f.event != "" && s.Event != nil {
		s.Event(ctx, auth.Event{Kind: f.event, User: userOf(ctx), From: visitorOf(ctx).from, Wait: f.retryAfter})
	}
	return f, problems
}

func (s *site) failureOf(ctx context.Context, err error) (*failure, []fieldProblem) {
	if f, ok := errors.AsType[*failure](err); ok {
		return f, nil
	}
	if problems := fieldProblems(err); problems != nil {
		return &failure{status: http.StatusUnprocessableEntity, text: "Something in the form is not right."}, problems
	}
	if many, ok := errors.AsType[*auth.TooManyError](err); ok {
		return &failure{status: http.StatusTooManyRequests, text: "Too many attempts.", retryAfter: many.Wait}, nil
	}
	if busy, ok := errors.AsType[*auth.BusyError](err); ok {
		return &failure{
			status: http.StatusServiceUnavailable,
			text:   "Too many people are logging in at once. Try again in a moment.", retryAfter: busy.Wait,
		}, nil
	}
	for from, to := range map[error]*failure{
		auth.ErrNoSession: errLoggedOut, auth.ErrLocked: errLocked, auth.ErrWrongLogin: errWrongLogin,
		store.ErrNotFound: errNotFound, store.ErrForbidden: errReadOnly, store.ErrFull: errFull,
		store.ErrTrashFull: errTrashFull, store.ErrSetupDone: errSetupDone,
		store.ErrNotHOTP: errNotHOTP, store.ErrCounterSpent: errSpent, store.ErrDamaged: errDamaged,
	} {
		if errors.Is(err, from) {
			return to, nil
		}
	}
	s.Failed(err)
	if f := noFault(err); f != nil {
		f.text += " " + changes(ctx)
		return f, nil
	}
	reference := rand.Text()[:8]
	s.Log.ErrorContext(ctx, "a request failed", "error", err, "reference", reference)
	return &failure{
		status: http.StatusInternalServerError,
		text:   "Something went wrong here. " + changes(ctx) + " The server's log says more, under " + reference + ".",
	}, nil
}

// noFault returns what to say when neither the visitor nor this program is at fault, but the database or its keys:
// the same request may succeed in a moment. It is nil otherwise.
func noFault(err error) *failure {
	f := &failure{status: http.StatusServiceUnavailable, retryAfter: soon}
	if _, ok := errors.AsType[*keyring.MissingKeyError](err); ok {
		f.text = "AVTotpy is not ready: a master key is missing on this server."
		return f
	}
	if _, ok := errors.AsType[*database.UnconfirmedError](err); ok {
		f.text = "The database confirms no changes at the moment. Try again shortly."
		return f
	}
	switch database.KindOf(err) {
	case database.Away, database.Refused:
		f.text = "AVTotpy does not reach its database at the moment. Try again shortly."
	case database.Unprivileged: // which fitness looks into
		f.text = "AVTotpy is not ready: its user lacks a privilege in the database."
	case database.ReadOnly:
		f.text = "The database takes no changes at the moment. Try again shortly."
	case database.Lacking:
		f.text = "The database cannot do this at the moment. Try again shortly."
	case database.Busy, database.Cancelled:
		f.text, f.retryAfter = "This took too long. Try again in a moment.", time.Second
	default:
		return nil
	}
	return f
}

// changes says what became of what a request wanted to change.
func changes(ctx context.Context) string {
	switch store.OutcomeOf(ctx) {
	case store.OutcomeUnknown:
		return "Whether your change was saved is not known, because the connection was lost at that moment: look " +
			"before you try again."
	case store.SomeCommitted:
		return "A part of your change was saved: look before you try again."
	default:
		return "Nothing was changed."
	}
}

// fieldProblems lists what is wrong with fields, also of several errors joined.
func fieldProblems(err error) []fieldProblem {
	var found []fieldProblem
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself, to find all and not the first
	case problem.List:
		for _, p := range e {
			found = append(found, fieldProblem{p.Field, sentenceOf(p)})
		}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			found = append(found, fieldProblems(one)...)
		}
	}
	return found
}

// details are problems of fields as the API has them.
func details(problems []fieldProblem) []*huma.ErrorDetail {
	var all []*huma.ErrorDetail
	for _, p := range problems {
		all = append(all, &huma.ErrorDetail{Location: "body." + p.Field, Message: p.Message})
	}
	return all
}

// problem is toFailure for the API.
func (s *site) problem(ctx context.Context, err error) error {
	f, problems := s.toFailure(ctx, err)
	document := &huma.ErrorModel{
		Type: f.kind, Status: f.status, Title: http.StatusText(f.status), Detail: f.text,
		Errors: details(problems),
	}
	if f.retryAfter > 0 {
		return huma.ErrorWithHeaders(document, http.Header{"Retry-After": {retryAfter(f.retryAfter)}})
	}
	return document
}

func retryAfter(wait time.Duration) string {
	return strconv.Itoa(int(math.Ceil(wait.Seconds())))
}

// writeError answers a request with what went wrong: a problem document on the API, a
// page elsewhere.
func (s *site) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if to, ok := errors.AsType[redirect](err); ok {
		// It is always a path of ours: loginFirst and ownPath see to it.
		http.Redirect(w, r, string(to), http.StatusSeeOther) //nolint:gosec // as above
		return
	}
	f, problems := s.toFailure(r.Context(), err)
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", retryAfter(f.retryAfter))
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		s.render(w, r, f.status, page{
			Name: "error", Title: http.StatusText(f.status),
			View: errorView{f.status, http.StatusText(f.status), f.text, toSendAgain(r, f)},
		})
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.status)
	// an error means that the client is gone
	_ = json.NewEncoder(w).Encode(&huma.ErrorModel{
		Type: f.kind, Status: f.status, Title: http.StatusText(f.status),
		Detail: f.text, Errors: details(problems),
	})
}

// An errorView is the page of what went wrong.
type errorView struct {
	Status         int
	Title, Message string
	Typed          *typedForm
}

// A redirect is an error that sends a visitor of a page elsewhere.
type redirect string

func (r redirect) Error() string { return "see " + string(r) }

const mostErrors = 10 // in one answer

// plainProblem makes the problems that huma finds fit for people, and takes out
// the values that they repeat: these may be secrets.
func plainProblem(_ huma.Context, _ string, answer any) (any, error) {
	problem, ok := answer.(*huma.ErrorModel)
	if !ok {
		return answer, nil
	}
	plain := *problem
	plain.Detail = sentence(problem.Detail)
	plain.Errors = nil
	for _, e := range problem.Errors[:min(len(problem.Errors), mostErrors)] {
		location, message := e.Location, sentence(e.Message)
		if name, ok := missingProperty(e.Message); ok {
			location, message = location+"."+name, "This is missing."
		}
		plain.Errors = append(plain.Errors, &huma.ErrorDetail{Location: location, Message: message})
	}
	return &plain, nil
}

// missingProperty returns the name of a field that was not sent; the check reports
// it at the whole of the body.
func missingProperty(message string) (name string, ok bool) {
	name, ok = strings.CutPrefix(message, "expected required property ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, " to be present")
}

// sentence words a message of the JSON schema's checks for people.
func sentence(message string) string {
	var number string
	switch {
	case message == "expected integer":
		message = "this is not a whole number"
	case message == "validation failed":
		message = "something in the form is not right"
	case scan(message, "expected number >= ", &number):
		message = "expected " + number + " or more"
	case scan(message, "expected number <= ", &number):
		message = "expected " + number + " or less"
	case scan(message, "expected length >= ", &number) && number == "1":
		message = "this is missing"
	case scan(message, "expected length >= ", &number):
		message = "expected " + number + " characters or more"
	case scan(message, "expected length <= ", &number):
		message = "expected " + number + " characters or fewer"
	}
	first, size := utf8.DecodeRuneInString(message)
	message = string(unicode.ToUpper(first)) + message[size:]
	if message != "" && !strings.ContainsAny(message[len(message)-1:], ".!?") {
		message += "."
	}
	return message
}

func scan(text, prefix string, rest *string) bool {
	after, ok := strings.CutPrefix(text, prefix)
	*rest = after
	return ok
}
