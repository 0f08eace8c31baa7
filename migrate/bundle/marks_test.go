package bundle_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/avtotpy/avtotpy/migrate/bundle"
)

// TestFilesOfOtherToolsAreNotTakenForOurs has what their files hold that means something to
// them, or to psql: "" is what does no harm.
func TestFilesOfOtherToolsAreNotTakenForOurs(t *testing.T) {
	t.Parallel()
	const back, alone, psql = "delete the mark and all that is below it", "write -- migrate:no-transaction instead",
		"leave the line out"
	const up, down = "CREATE TABLE app.t (id int);\n", "\nDROP TABLE app.t;\n"
	for sql, want := range map[string]string{
		"-- +goose Up\n" + up:                    "",
		"-- +goose Up\n" + up + "-- +goose Down": "",
		"-- +goose Up\n" + up + "-- +goose Down\n-- +goose StatementBegin" + down + "-- +goose StatementEnd": back,
		"-- +goose NO TRANSACTION\n" + up:                               alone,
		"-- +migrate Up\n" + up + "-- +migrate Down" + down:             back,
		"-- +migrate Up notransaction\n" + up:                           alone,
		"-- migrate:up\n" + up:                                          "a file holds only what is applied",
		up + "-- migrate:down" + down:                                   "a file holds only what is applied",
		"-- migrate:up transaction:false\n" + up:                        "a file holds only what is applied",
		up + "---- create above / drop below ----" + down:               back,
		up + "---- create above / drop below ----\n-- DROP TABLE app.t": "",
		"---- tern: disable-tx ----\n" + up:                             alone,
		up + "-- //@UNDO" + down:                                        back,
		up + "-- @UNDO" + down:                                          back,
		up + "-- Down Migration" + down:                                 back,
		up + "-- ======\n-- DOWN Migration (Rollback)\n" + down:         back,
		up + "-- rambler down" + down:                                   back,
		"-- rambler up\n" + up:                                          "",
		up + "-- !Downs" + down:                                         back,
		"-- 1 up\n" + up + "-- 1 down" + down:                           back,
		up + "-- up/down --" + down:                                     back,
		up + "-- Down" + down:                                           back,
		"-- no-transaction\n" + up:                                      alone,
		"-- atlas:txmode none\n" + up:                                   alone,
		"-- atlas:nolint\n" + up:                                        "",
		"--> statement-breakpoint\n" + up + "--> statement-breakpoint\nALTER TABLE \"app\".\"t\" ADD a int": "",
		"/* sqlx: split */\n" + up + "-- CreateTable\n-- AlterTable\nSELECT 1":                              "",
		"--liquibase formatted sql\n--changeset me:1\n" + up + "--rollback DROP TABLE app.t;\n":             "",
		"-- +micrate Up\n" + up + "-- +micrate Down" + down:                                                 back,
		up + "-- +anything Down" + down:                                                                     back,
		up + "-- Revert" + down:                                                                             back,
		up + "-- ROLLBACK:" + down:                                                                          back,
		up + "--rollback;" + down:                                                                           back,
		up + "/* down */" + down:                                                                            back,
		up + "/*\n * Rollback script\n */" + down:                                                           back,
		up + "-- [down]" + down:                                                                             back,
		up + "-- >> Down" + down:                                                                            back,
		up + "-- name: down" + down:                                                                         back,
		up + "-- dbmate down" + down:                                                                        back,
		up + "-- Backwards" + down:                                                                          back,
		up + "-- 'Reverse'" + down:                                                                          back,
		up + "-- migration rollback" + down:                                                                 back,
		"-- Rollback script\n" + up:                                                                         back,
		up + "-- Rollback is not possible\nSELECT 1":                                                        "",
		up + "/* It rolls back */ SELECT 1 /* down */":                                                      "",
		up + "-- Undo what 0001 did\nSELECT 1":                                                              "",
		"-- Down here users are kept.\n" + up + "-- It must go down\nSELECT 1":                              "",
		up + "-- no transaction is open here\nSELECT 1":                                                     "",
		"CREATE TABLE " +
			"${schema}.t (id int)": "${…} is a placeholder",
		"SELECT '${x}', $${x}$$, $1":                      "",
		`\connect app` + "\n" + up:                        psql,
		`\restrict 5zPq` + "\n" + up + `\unrestrict 5zPq`: psql,
		"SET default_tablespace = '';\n" +
			up: "write SET LOCAL",
		"SELECT pg_catalog.set_config('search_path', '', false);\n" +
			up: "write true, or SET LOCAL",
		"SET check_function_bodies = false;\n" +
			up: "write SET LOCAL",
		"SET client_encoding = 'UTF8';\n" + up:                           "leave this out",
		up + "COPY app.t (id) FROM stdin;\n1\n2\t'x\n\\.\n\nSELECT 1;\n": "write INSERT … VALUES",
		"USE app;\nSELECT 1": "",
	} {
		_, err := bundle.Load(fstest.MapFS{"0001_m1.sql": {Data: []byte(sql)}})
		lines := 0
		if err != nil {
			lines = 1 + strings.Count(err.Error(), "\n")
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("%s\ngot %v, want nothing", sql, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s\ngot %v, want %q", sql, err, want)
		case lines > 2:
			t.Errorf("%s\ngot %v, want no more than what is wrong", sql, err)
		}
	}
}
