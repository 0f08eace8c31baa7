package redact

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestWhatTheServerSaysIsLeftWithoutValues is about what a test server does not say: other languages, values with
// quotes, codes that no table lists. TestNoValueOfARowIsShown tries the rest against a real one.
func TestWhatTheServerSaysIsLeftWithoutValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		e            pgconn.PgError
		source, want string
	}{
		{
			pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type integer: "a"S3CRET"b"`},
			"",
			`invalid input syntax for type integer: "…"`,
		},
		{
			pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type integer: "S3CRET`},
			"",
			`invalid input syntax for type integer: "…"`,
		},
		{
			pgconn.PgError{Code: "22P02", Message: "syntaxe en entrée invalide pour le type integer : « S3CRET »"},
			"",
			`syntaxe en entrée invalide pour le type integer : "…"`,
		},
		{
			pgconn.PgError{Code: "22P02", Message: "ungültige Eingabesyntax für Typ integer: »S3CRET«"},
			"",
			`ungültige Eingabesyntax für Typ integer: "…"`,
		},
		{
			pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type integer: "x"`, Position: 8},
			"SELECT 'x'::int", `invalid input syntax for type integer: "x"`,
		},
		{
			pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type integer: "x"`},
			"SELECT 'x'",
			`invalid input syntax for type integer: "…"`,
		},
		{
			pgconn.PgError{
				Code: "23505", Message: `duplicate key value violates unique constraint "users_pkey"`,
				ConstraintName: "users_pkey", Detail: "Key (name)=(S3CRET)",
			},
			"",
			`duplicate key value violates unique constraint "users_pkey"`,
		},
		{
			pgconn.PgError{Code: "42501", Message: "permission denied for table users", Detail: ""},
			"",
			"permission denied for table users",
		},
		{
			pgconn.PgError{Code: "2BP01", Message: "m", Detail: "view v depends on table t"},
			"",
			"m view v depends on table t",
		},
		{pgconn.PgError{
			Code: "ZZ999", Message: "m", Detail: "S3CRET",
			Where: "S3CRET\nPL/pgSQL function f(text) line 3 at RAISE\nSQL statement \"S3CRET\nPL/pgSQL " +
				"function S3CRET: x",
		}, "", "m PL/pgSQL function f(text) line 3 at RAISE"},
		{pgconn.PgError{
			Code: "22P04", Message: "extra data after last expected column",
			Where: `COPY t, line 3: "S3CRET"`,
		}, "", "extra data after last expected column COPY t, line 3"},
		{
			pgconn.PgError{Code: "22P02", Message: "m", Where: `COPY t, line 3, column n: "S3CRET"`},
			"",
			"m COPY t, line 3, column n",
		},
		{
			pgconn.PgError{
				Code: "22P02", Message: "invalid input syntax for type json",
				Detail: `Token "S3CRET" is invalid.`, Where: "JSON data, line 1: S3CRET",
			},
			"",
			"invalid input syntax for type json JSON data, line 1",
		},
		{pgconn.PgError{
			Code: "23514", Routine: "exec_stmt_raise", Message: "bad S3CRET", TableName: "S3CRET",
			Hint: "S3CRET",
		}, "RAISE 'bad %'", "bad … … …"},
		{
			pgconn.PgError{Code: "22012", Message: "division by zero", InternalQuery: "SELECT 1/0, 'S3CRET'"},
			"",
			"division by zero",
		},
		{
			pgconn.PgError{Code: "22P05", Message: "character with byte sequence 0x53 0x33 in encoding"},
			"",
			"character with byte sequence … … in encoding",
		},
		{
			pgconn.PgError{
				Code: "22023", Routine: "call_string_check_hook",
				Message: `invalid value for parameter "default_tablespace": "S3CRET"`,
				Detail:  `Tablespace "S3CRET" does not exist.`,
			},
			"", `invalid value for parameter "default_tablespace": "…"`,
		},
		{
			pgconn.PgError{
				Code: "22023", Routine: "call_string_check_hook",
				Message: `ungültiger Wert für Parameter »work_mem«: »S3CRET«`,
			},
			"", `ungültiger Wert für Parameter »work_mem«: "…"`,
		},
		{
			pgconn.PgError{
				Code: "22023", Routine: "parse_and_validate_value",
				Message: `53 is outside the valid range for parameter "x" (1 .. 10)`,
			},
			"", `… is outside the valid range for parameter "x" (… .. …)`,
		},
		{
			pgconn.PgError{Code: "22023", Message: `invalid value for parameter "S3CRET": "S3CRET"`},
			"", `invalid value for parameter "…"`,
		},
		{
			pgconn.PgError{
				Code: "22023", Routine: "call_string_check_hook",
				Message: `invalid value for "S3CRET S3CRET" of parameter "a"`,
			},
			"", `invalid value for "…"`,
		},
	} {
		safe := Server(&c.e, c.source)
		got := strings.Join(strings.Fields(strings.Join([]string{
			safe.Message, safe.Detail, safe.Hint, safe.Where,
			safe.InternalQuery, safe.TableName,
		}, " ")), " ")
		if got != c.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", c.e, got, c.want)
		}
		if text := Text(fmt.Errorf("ask: %w", &c.e)); strings.Contains(text, "S3CRET") {
			t.Errorf("shown in %s", text)
		}
	}
}
