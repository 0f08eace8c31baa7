package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/avtotpy/avtotpy/internal/auth"
	"github.com/avtotpy/avtotpy/internal/transfer"
)

// A limit is how much the body of a request may hold. It is read and checked before any of it is
// decoded, because a decoder needs many times the memory of what it reads.
type limit struct {
	bytes int64
	parts int // names, values and brackets together
}

// mostTyped is the form that takes most.
const mostTyped = "POST /accounts/new"

// limitOf returns the limit of a route: that of a few short fields, unless a row here says why not.
func limitOf(pattern string) limit {
	const few, aNote = 8 << 10, 32 << 10
	switch pattern {
	case "POST /api/v1/accounts", "POST /api/v1/preview", "PATCH /api/v1/accounts/{id}", "POST /accounts/{id}":
		return limit{bytes: aNote, parts: fewParts} // a note of 2,000 characters takes up to 12 bytes for each
	}
	if pattern == mostTyped { // each of several accounts has a choice and perhaps an answer
		return limit{bytes: aNote, parts: fewParts + 2*transfer.Most}
	}
	return limit{bytes: few, parts: fewParts}
}

const (
	fewParts       = 64
	longestName    = 64      // bytes, of a field
	deepest        = 8       // brackets within brackets
	longestAddress = 4 << 10 // bytes of a request's path and query

	// MaxHeader is how many bytes of headers a server should read.
	MaxHeader = 16 << 10
)

// What is wrong with a request that asks for more than any user needs.
var (
	errTooComplex = &failure{
		status: http.StatusRequestEntityTooLarge,
		text:   "The body has more fields than anything here takes.", event: auth.EventTooLarge,
	}
	errTooLong = &failure{
		status: http.StatusRequestURITooLong, text: "The address is too long.",
		event: auth.EventTooLarge,
	}
	errTooSlow = &failure{
		status: http.StatusRequestTimeout,
		text:   "The request took too long to arrive. Send it again.",
	}
	errNotForm = &failure{
		status: http.StatusUnsupportedMediaType,
		text:   "The form has to be application/x-www-form-urlencoded.",
	}
	errBusy = &failure{
		status: http.StatusServiceUnavailable, text: "AVTotpy is very busy. Try again in a moment.",
		retryAfter: time.Second, event: auth.EventOverload,
	}
	errManyRequests = &failure{
		status: http.StatusTooManyRequests, text: "You send too many requests at once.", retryAfter: time.Second,
		event: auth.EventRate,
	}
)

func tooLarge(most int64) error {
	return &failure{
		status: http.StatusRequestEntityTooLarge, text: "The body is too large; expected at most " +
			strconv.FormatInt(most, 10) + " bytes.",
		event: auth.EventTooLarge,
	}
}

// A limited mux keeps each of its routes within its limit.
type limitedMux struct {
	*http.ServeMux
	site *site
}

// Handle adds a route.
func (m limitedMux) Handle(pattern string, handler http.Handler) {
	m.ServeMux.Handle(pattern, m.site.within(limitOf(pattern), handler))
}

// HandleFunc is Handle for a function; the API adds its routes with it.
func (m limitedMux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(handler))
}

// within hands on what is within a limit, read to its end. What a body needs is set aside until its request was
// answered, and refused early when others have too much: one that waits would hold its memory, too.
func (s *site) within(most limit, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		refuse := func(err error) {
			w.Header().Set("Connection", "close") // instead of reading the rest
			s.writeError(w, r, err)
		}
		if r.ContentLength > most.bytes {
			refuse(tooLarge(most.bytes))
			return
		}
		network := auth.Customer(visitorOf(r.Context()).from.Address)
		if !s.bodies.take(network, most.bytes) {
			refuse(errBusy)
			return
		}
		defer s.bodies.give(network, most.bytes)
		body, err := s.readBody(w, r, most.bytes)
		switch {
		case err != nil:
			refuse(err)
			return
		case tooComplex(body, most.parts, strings.HasPrefix(r.URL.Path, "/api/")):
			refuse(errTooComplex)
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		next.ServeHTTP(w, r)
	})
}

// readBody reads all of a body, which has to come soon.
func (s *site) readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.BodyTime)) // where it cannot be set, the server's own holds
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	_ = control.SetReadDeadline(time.Time{})
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(most)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errTooSlow
	}
	if err != nil {
		return nil, errNoForm // the visitor is gone
	}
	return body, nil
}

// tooComplex reports whether a body has more parts than parts, longer names or deeper brackets than anything here
// takes. It looks at no more than the characters that separate them: whether they are in order is for the decoder to
// say.
func tooComplex(body []byte, parts int, isJSON bool) bool {
	if !isJSON {
		return bytes.Count(body, []byte("&")) >= parts
	}
	depth, text := 0, 0 // the length of the text before
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			end := endOfText(body, i+1)
			i, text = end, end-i-1
			continue
		case '{', '[':
			depth++
			parts--
		case '}', ']':
			depth--
		case ':':
			parts--
			if text > longestName {
				return true
			}
		case ',':
			parts--
		}
		if parts < 0 || depth > deepest {
			return true
		}
	}
	return false
}

// endOfText returns where the quote is that ends a text of JSON.
func endOfText(body []byte, start int) int {
	i := start
	for ; i < len(body) && body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}

// A budget is memory that is set aside for requests. A network has a quarter of what the others leave, so a few
// networks together do not keep the rest out: after ten that take all they can, a newcomer has 230 KiB.
type budget struct {
	mu     sync.Mutex
	taken  int64
	taking map[netip.Prefix]int64
}

const (
	budgetOfAll = 16 << 20 // bytes
	budgetShare = 4        // a network has one part in so many of what the others leave
)

func newBudget() *budget { return &budget{taking: map[netip.Prefix]int64{}} }

func (b *budget) take(network netip.Prefix, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	others := b.taken - b.taking[network]
	if b.taking[network]+n > (budgetOfAll-others)/budgetShare {
		return false
	}
	b.taken += n
	b.taking[network] += n
	return true
}

func (b *budget) give(network netip.Prefix, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
	if b.taking[network] -= n; b.taking[network] <= 0 {
		delete(b.taking, network)
	}
}
