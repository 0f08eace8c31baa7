package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/avtotpy/avtotpy/internal/config"
	"github.com/avtotpy/avtotpy/migrate/redact"
)

// newLogger logs text for people or JSON for machines.
func newLogger(w io.Writer, text bool, level slog.Level) *slog.Logger {
	if text {
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: durationAsText}))
}

// asText is text on a terminal and not otherwise, unless the settings say which.
func asText(w *os.File, format config.LogFormat) bool {
	return format == config.LogText || format == config.LogAuto && isTerminal(w)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// withoutValues takes values of rows out of the errors of the server that are logged, wherever they come from.
func withoutValues(a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok && err != nil {
		a.Value = slog.StringValue(redact.Text(err))
	}
	return a
}

// shortTime leaves the date out: a person watches it happen.
func shortTime(_ []string, a slog.Attr) slog.Attr {
	a = withoutValues(a)
	if a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().Format(time.TimeOnly))
	}
	return a
}

// durationAsText writes 1.5s where JSON would say 1500000000 without a unit.
func durationAsText(_ []string, a slog.Attr) slog.Attr {
	a = withoutValues(a)
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
