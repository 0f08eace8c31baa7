package bundle

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/avtotpy/avtotpy/migrate/internal/setting"
)

func TestFilesMayNotSetWhatOthersAreReadBy(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT set_config('client_encoding', 'LATIN1', false)":                  "outlives",
		"SELECT pg_catalog.set_config('work_mem', '1GB', is_local => false)":     "outlives",
		"SELECT set_config('work_mem', '1GB', 'f')":                              "outlives",
		"SELECT (SELECT set_config('DateStyle', 'SQL', FALSE))":                  "outlives",
		"DO $$ BEGIN PERFORM set_config('DateStyle', 'SQL, DMY', false); END $$": "outlives",
		"DO $x$ BEGIN IF true THEN SET work_mem = '1GB'; END IF; END $x$":        "SET without LOCAL",
		"DO $$ BEGIN SET LOCAL lock_timeout " +
			"= 0; END $$": "takes the limit away",
		"SET LOCAL lock_timeout = 0; ALTER TABLE " +
			"a ADD b int": "takes the limit away",
		"set local LOCK_TIMEOUT to '0ms'": "takes the limit away",
		"SET LOCAL \"lock_timeout\" " +
			"TO DEFAULT": "takes the limit away",
		"SELECT set_config('lock_timeout', " +
			"'0', true)": "takes the limit away",
		"SET LOCAL client_encoding = 'LATIN1'":                                                    "leave this out",
		"SET LOCAL standard_conforming_strings = off":                                             "leave this out",
		"SET LOCAL ROLE postgres":                                                                 "leave it out",
		"SELECT set_config('session_authorization', 'postgres', true)":                            "leave this out",
		"SELECT set_config('role', 'postgres', true)":                                             "leave this out",
		"SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = 0":                         "",
		"SET LOCAL lock_timeout = 100":                                                            "",
		"SET LOCAL DateStyle = 'German'; SELECT set_config('work_mem', '1GB', true)":              "",
		"UPDATE a SET b = 1; DO $$ BEGIN UPDATE a SET b = 2; END $$":                              "",
		"DO $$ BEGIN SET CONSTRAINTS ALL DEFERRED; END $$; SET CONSTRAINTS ALL IMMEDIATE":         "",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = pg_catalog AS 'SELECT 1'": "",
		"INSERT INTO notes VALUES ('set_config(''role'', false)')":                                "",
		"SET client_encoding = 'UTF8'":                                                            "is UTF8 for each file",
		"SET standard_conforming_strings = on":                                                    "leave this out",
		"SET lock_timeout = 0":                                                                    "takes the limit away",
		"SET NAMES 'UTF8'":                                                                        "leave this out",
		"SET SESSION statement_timeout = 0":                                                       "write SET LOCAL",
		"DO $$ BEGIN COMMIT; END $$":                                                              "COMMIT in a DO block",
		"DO $$ BEGIN IF true THEN ROLLBACK AND CHAIN; END " +
			"IF; END $$": "ROLLBACK in a DO block",
		"DO $$ DECLARE commit int; BEGIN commit := 1; RAISE NOTICE 'x', commit; END $$": "",
		"SELECT pg_advisory_lock(42)": "write pg_advisory_xact_lock",
		"DO $$ BEGIN PERFORM pg_catalog.pg_try_advisory_lock_shared(1, " +
			"2); END $$": "write pg_advisory_xact_lock",
		"SELECT pg_advisory_xact_lock(42), pg_try_advisory_xact_lock(43)": "",
		"SET LOCAL NAMES 'LATIN1'":                "leave this out",
		"SET LOCAL TIME ZONE 'Europe/Berlin'":     "",
		"SET LOCAL XML OPTION DOCUMENT; SELECT 1": "",
	} {
		_, err := Load(fstest.MapFS{"0001_a.sql": {Data: []byte(sql)}})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", sql, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", sql, err, want)
		}
	}
}

// TestASettingThatNoFileMayChangeIsReportedOnce, however it is changed, and in words for who writes the file: not in
// those of the table of settings.
func TestASettingThatNoFileMayChangeIsReportedOnce(t *testing.T) {
	t.Parallel()
	for _, p := range append(setting.Pins(), setting.Pin{Name: "role", Local: "no"},
		setting.Pin{Name: "session_authorization", Local: "no"}) {
		if p.Local != "no" {
			continue
		}
		for _, form := range []string{
			"SET %s = 'x'", "SET LOCAL %s = 'x'", "-- why\nSET LOCAL %s TO DEFAULT", "SET SESSION %s = 'x'",
			"SELECT set_config('%s', 'x', true)",
			"DO $$ BEGIN SET LOCAL %s = 'x'; END $$", "SELECT 1; SET LOCAL %s = 'x'; SELECT 2",
		} {
			sql := strings.ReplaceAll(form, "%s", p.Name)
			_, err := Load(fstest.MapFS{"0001_a.sql": {Data: []byte(sql)}})
			refused, ok := errors.AsType[*Error](err)
			if !ok || len(refused.Problems) != 1 || p.Why != "" && strings.Contains(err.Error(), p.Why) {
				t.Errorf("%s: got %v, want one problem, without %q", sql, err, p.Why)
			}
		}
	}
}
