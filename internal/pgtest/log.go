package pgtest

import (
	"context"
	"log/slog"
)

// LogTo is a log that hands its records on.
func LogTo(record func(slog.Record)) *slog.Logger { return slog.New(recordFunc(record)) }

type recordFunc func(slog.Record)

func (f recordFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f recordFunc) Handle(_ context.Context, r slog.Record) error {
	f(r)
	return nil
}
func (f recordFunc) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f recordFunc) WithGroup(string) slog.Handler      { return f }
