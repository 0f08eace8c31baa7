package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Whatever an error is made of, an operator does not want to read it.
var internals = regexp.MustCompile(`%!|pgconn|pgx|\*migrate\.|goroutine|0x[0-9a-f]|<nil>|context (deadline|canceled)`)

// cmdMessages runs each command that asks the database, or changes it, and prints its exit
// code and its message, with the names of this database's objects as in the documentation.
// A command that fails without a message, or with the insides of the program in it, ends
// the script.
func cmdMessages(ts *testscript.TestScript, _ bool, _ []string) {
	s := storyOf(ts)
	names := strings.NewReplacer(s.db.Name, "avtotpy", s.db.Migrator(), "avtotpy_migrator", s.db.WebRole, "avtotpy_web")
	for _, command := range []string{
		"migrate status --json", "migrate plan --json", "migrate verify --json", "migrate repair --json",
		"migrate rehearse --json",
		"key check", "key rotate", "serve", "migrate",
	} {
		if command == "serve" && ts.Getenv("SERVES") != "" {
			continue
		}
		code := 0
		if err := ts.Exec("avtotpy", strings.Fields(command)...); err != nil {
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok {
				ts.Fatalf("%s: %v", command, err)
			}
			code = exit.ExitCode()
		}
		message := messageOf(ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		switch {
		case code != 0 && message == "":
			ts.Fatalf("%s: exits with %d and says nothing", command, code)
		case internals.MatchString(message):
			ts.Fatalf("%s: the message shows the insides of the program: %s", command, message)
		}
		message = regexp.MustCompile(`[0-9a-f]{12}`).ReplaceAllString(names.Replace(message), "…")
		// of this program
		message = regexp.MustCompile(`(version|ends at) `+ts.Getenv("V0")+`\b`).ReplaceAllString(message, "$1 LAST")
		message = regexp.MustCompile(`version `+ts.Getenv("V1")+`\b`).ReplaceAllString(message, "version NEXT")
		message = regexp.MustCompile(`at /\S+:5432`).ReplaceAllString(message, "at db:5432")
		// by a busy machine
		message = regexp.MustCompile(` \(tried for \S+\): FATAL`).ReplaceAllString(message, ": FATAL")
		_, err := fmt.Fprintf(ts.Stdout(), "%s: %d %s\n", strings.TrimSuffix(command, " --json"), code,
			strings.ReplaceAll(message, "\n", "\n    "))
		ts.Check(err)
	}
}

// messageOf is the error in a document, or else the last words on the standard error.
func messageOf(stdout, stderr string) string {
	var document struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(stdout), &document) == nil && document.Error != "" {
		return document.Error
	}
	_, message, _ := strings.Cut("\n"+stderr, "\navtotpy: ")
	return strings.TrimSpace(message)
}
