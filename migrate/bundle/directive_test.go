package bundle

import (
	"errors"
	"strings"
	"testing"
)

func TestMisspeltDirectivesAreRefused(t *testing.T) {
	const unknown, write = "there is no directive", "write the directive as -- migrate:…"
	for comment, want := range map[string]string{
		"--migrate:min_version 3":                                    unknown + ` "min_version"`,
		"-- migrate:minversion 3":                                    unknown + ` "minversion"`,
		"-- migrate:min-version=3":                                   unknown + ` "min-version=3"`,
		"-- migrate:min-version: 3":                                  unknown + ` "min-version:"`,
		"-- migrate:min-version\t3":                                  unknown,
		"-- migrate:MIN-VERSION 3":                                   unknown + ` "MIN-VERSION"`,
		"-- migrate:":                                                unknown,
		"-- migrate: min-version 3":                                  write,
		"-- migrate :min-version 3":                                  write,
		"-- Migrate:min-version 3":                                   write,
		"-- MIGRATE:MIN-VERSION 3":                                   write,
		"---- migrate:min-version 3":                                 write,
		"-- +migrate min-version 3":                                  write,
		"-- migrate min-version 3":                                   write,
		"-- migrate;min-version 3":                                   write,
		"-- migrate-min-version 3":                                   write,
		"-- migration:min-version 3":                                 write,
		"-- min-version 3":                                           write,
		"-- migrate no-transaction":                                  write,
		"-- migration: no transaction":                               write,
		"-- migrate allow fk-index because":                          write,
		"/* migrate:min-version 3 */":                                "a directive is a comment of its own line",
		"/*\n * Migrate: min-version 3\n */":                         "a directive is a comment of its own line",
		"-- migrate:min-version":                                     `"" is not a version`,
		"-- migrate:min-version three":                               `"three" is not a version`,
		"-- migrate:min-version 3.0":                                 `"3.0" is not a version`,
		"-- migrate:min-version 3 -- for the index":                  "is not a version",
		"-- migrate:min-version 0":                                   `"0" is not a version`,
		"-- migrate:min-version -3":                                  `"-3" is not a version`,
		"-- migrate:min-version 99999999999999999999":                "is not a version",
		"-- migrate:min-version 4":                                   "min-version 4 is behind this file",
		"-- migrate:min-version 3\n-- migrate:min-version 3":         "given twice",
		"SELECT 1; -- migrate:min-version 3":                         "counts only above the first statement",
		"SELECT -- migrate:min-version 3\n":                          "counts only above the first statement",
		"-- migrate:allow":                                           "write -- migrate:allow RULE because REASON",
		"-- migrate:allow fk-index":                                  "write -- migrate:allow RULE because REASON",
		"-- migrate:allow because of me":                             "write -- migrate:allow RULE because REASON",
		"-- migrate:allow fk-index because":                          "write -- migrate:allow RULE because REASON",
		"-- migrate:allow fk-index: it is small":                     "write -- migrate:allow RULE because REASON",
		"-- migrate:allow fk-index, qualified because":               "write -- migrate:allow RULE because REASON",
		"-- migrate:allows fk-index because it is small":             unknown + ` "allows"`,
		"-- migrate:allow x because a\n-- migrate:allow x because b": "x is allowed twice",
	} {
		_, err := Load(bundleFS(map[string]string{
			"0001_a.sql": "SELECT 1", "0002_b.sql": "SELECT 1",
			"0003_c.sql": comment + "\nSELECT 1;",
		}))
		var bad *Error
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "0003_c.sql:") ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", comment, err, want)
		}
	}
}

func TestCommentsAboutMigrationsAreNoDirectives(t *testing.T) {
	for _, comment := range []string{
		"-- Migrates the users.", "-- migration 3 of 4", "-- migrate users, and allow them to log in",
		"-- The minimum version is 3.", "-- min", "--", "-- ---", "-- min versions are told below",
		"/* migrate users first */", "-- Migrations allow for this.", "-- Minversion and others: see above",
		"--\tmigrate", "SELECT 'migrate:min-version 3' -- migrated by hand before\n",
		"--migrate:min-version 3", "-- migrate:min-version  3  ", "--   migrate:min-version 03",
		"-- migrate:allow fk-index because it is small",
	} {
		if _, err := Load(bundleFS(map[string]string{
			"0001_a.sql": "SELECT 1", "0002_b.sql": "SELECT 1",
			"0003_c.sql": comment + "\n;SELECT 1;",
		})); err != nil {
			t.Errorf("%s: got %v, want no error", comment, err)
		}
	}
}

// TestDirectivesNeedNoSpace: what looks like a directive to a reader is one.
func TestDirectivesNeedNoSpace(t *testing.T) {
	for comment, want := range map[string]int{
		"--migrate:min-version 2": 2, "-- migrate:min-version 2": 2,
		"--\tmigrate:min-version  2 ": 2, "-- no word of it": 1,
	} {
		b, err := Load(bundleFS(map[string]string{"0001_a.sql": "SELECT 1", "0002_b.sql": comment + "\nSELECT 1"}))
		if err != nil || b.Migrations()[1].MinVersion != want {
			t.Errorf("%q: got %+v, %v; want minimum version %d", comment, b.Migrations(), err, want)
		}
	}
}
