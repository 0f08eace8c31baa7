// Package setting has a decision about each of PostgreSQL's settings: which ones mean the same in each file's
// transaction, and which ones a file may change.
package setting

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// SettingsText holds a decision about each of PostgreSQL's settings.
//
//go:embed settings.txt
var SettingsText string

// A Pin is a setting that has the same value in the transaction of each file, whatever the
// server, the database, the role, the connection or an earlier file say.
type Pin struct {
	Name  string
	since []int  // the versions that have it, each from this on, such as 150008
	File  string // its value; "-" is none, and in angle brackets is what the code computes
	Local string // whether a file may have another: yes, no, or a limit
	web   string // its value for the web server, by package store
	Why   string
}

// Pins returns the decisions in the order of settings.txt.
var Pins = sync.OnceValue(func() []Pin { //nolint:gochecknoglobals // settings.txt, read once
	var all []Pin
	for line := range strings.Lines(SettingsText) {
		columns := strings.Split(line, "|")
		const count = 6
		if len(columns) != count || strings.HasPrefix(line, "#") {
			continue
		}
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		p := Pin{Name: columns[0], File: columns[2], Local: columns[3], web: columns[4], Why: columns[5]}
		for version := range strings.FieldsSeq(columns[1]) {
			major, minor, _ := strings.Cut(version, ".")
			n, _ := strconv.Atoi(major) // the test of settings.txt has read it
			m, _ := strconv.Atoi(minor) // the same; 0 when there is none
			p.since = append(p.since, n*10_000+m)
		}
		all = append(all, p)
	}
	return all
})

// knownTo reports whether a server has the setting: one that was added to an old major
// version, too, is missing in its first minor ones.
func (p Pin) knownTo(version int) bool {
	known := false
	for _, since := range p.since {
		known = known || version >= since && (version/10_000 == since/10_000 || since == p.since[len(p.since)-1])
	}
	return known
}

// computed is what the code sets, and not the table.
func (p Pin) computed() bool { return strings.HasPrefix(p.File, "<") && p.File != nothing }

const nothing = "<nothing>"

// Alias is the word by which SET knows it, too: SET TIME ZONE, SET XML OPTION, SET SCHEMA.
func (p Pin) Alias() string {
	switch p.Name {
	case "TimeZone":
		return "time zone"
	case "xmloption":
		return "xml option"
	case "search_path":
		return "set local schema"
	}
	return p.Name
}

// ByBegin reports whether BEGIN sets it.
func (p Pin) ByBegin() bool {
	return strings.HasPrefix(p.Name, "transaction_") && p.Name != "transaction_timeout"
}

// onSockets reports whether it is about the connection, which begin pins where the server
// can tell that its client is gone.
func (p Pin) onSockets() bool {
	return strings.HasPrefix(p.Name, "tcp_") || p.Name == "client_connection_check_interval"
}

// Restricted reports whether it takes a superuser, or a privilege of its own, to set it.
func (p Pin) Restricted() bool {
	return p.Name == "session_replication_role" || p.Name == "plpgsql.variable_conflict"
}

// Late reports whether the server reads a message by it before that can set it.
func (p Pin) Late() bool { return p.Name == "backslash_quote" }

// Meaning are the pins that the table gives a value, on a server of a version.
func Meaning(version int) []Pin {
	var all []Pin
	for _, p := range Pins() {
		if p.knownTo(version) && !p.computed() && !p.ByBegin() && !p.onSockets() && !p.Restricted() &&
			!strings.HasSuffix(p.Name, "_timeout") {
			all = append(all, p)
		}
	}
	return all
}

// SetTo is the value of the table.
func (p Pin) SetTo() string {
	if p.File == nothing {
		return ""
	}
	return p.File
}
