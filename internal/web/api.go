package web

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/avtotpy/avtotpy/internal/auth"
)

// public adds an operation of the API that needs no session.
func public[I, O any](s *site, api huma.API, method, path string, status int, summary string,
	do func(context.Context, *I) (*O, error),
) {
	register(s, api, operation(method, path, status, summary), do)
}

// authenticated adds an operation of the API that only a user who is logged in can ask
// for.
func authenticated[I, O any](s *site, api huma.API, method, path string, status int, summary string,
	do func(context.Context, auth.Principal, *I) (*O, error),
) {
	// Pages ask for codes and previews by themselves.
	counts := method != http.MethodGet && path != "/preview"
	own(s, api, method, path, status, summary, func(ctx context.Context, in *I) (*O, error) {
		who, err := s.principal(ctx)
		if err == nil && counts {
			err = s.used(ctx, who)
		}
		if err != nil {
			return nil, err
		}
		return do(ctx, who, in)
	})
}

// owner adds an operation that is also for a session that is locked.
func owner[I, O any](s *site, api huma.API, method, path string, status int, summary string,
	do func(context.Context, auth.Principal, *I) (*O, error),
) {
	own(s, api, method, path, status, summary, func(ctx context.Context, in *I) (*O, error) {
		who, err := s.ownerOf(ctx)
		if err != nil {
			return nil, err
		}
		return do(ctx, who, in)
	})
}

// own is authenticated for an operation that asks for the session itself, with what it reads.
func own[I, O any](s *site, api huma.API, method, path string, status int, summary string,
	do func(context.Context, *I) (*O, error),
) {
	op := operation(method, path, status, summary)
	op.Security = []map[string][]string{{"session": {}}}
	register(s, api, op, do)
}

func register[I, O any](s *site, api huma.API, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

func operation(method, path string, status int, summary string) huma.Operation {
	return huma.Operation{
		OperationID:   strings.ToLower(method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(path),
		Method:        method,
		Path:          strings.TrimSuffix(apiPrefix, "/") + path,
		DefaultStatus: status,
		Summary:       summary,
		Errors: []int{
			http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestEntityTooLarge,
			http.StatusUnprocessableEntity,
			http.StatusTooManyRequests, http.StatusServiceUnavailable,
		},
		BodyReadTimeout: -1, // it was read before
	}
}

// A body wraps what an operation answers, as huma wants it.
type body[T any] struct{ Body T }

func answerWith[T any](b T) *body[T] { return &body[T]{b} }

// noContent is the answer of an operation that has none.
type noContent struct{}

// jsonFormat is huma's, but for answers that write themselves: encoding/json takes most of the time that a long
// one needs.
func jsonFormat() huma.Format {
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	format := huma.DefaultJSONFormat
	format.Marshal = func(w io.Writer, v any) error {
		long, ok := v.(interface{ appendJSON(b []byte) []byte })
		if !ok {
			return huma.DefaultJSONFormat.Marshal(w, v)
		}
		buffer, _ := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		*buffer = long.appendJSON((*buffer)[:0])
		_, err := w.Write(*buffer)
		return err
	}
	return format
}
