// Package access decides what a member of a vault may do in it.
//
// It promises one table of roles and actions, and that row level security allows the same: a
// test of package store tries each pair as the web server's role.
package access

import "slices"

// A Role is what a vault's member is there; the zero Role may do nothing.
type Role string

// The roles, as the database has them.
const (
	Owner  Role = "owner"
	Editor Role = "editor"
	Viewer Role = "viewer"
)

// Roles returns all of them, the mightiest first.
func Roles() []Role { return []Role{Owner, Editor, Viewer} }

// An Action is something that is done in a vault.
type Action string

// The actions.
const (
	ReadCodes      Action = "read codes"
	UseCounters    Action = "use counters" // reading the code of a counter uses it up
	AddAccounts    Action = "add accounts"
	ChangeAccounts Action = "change accounts"
	DeleteAccounts Action = "delete accounts"
	AddMembers     Action = "add members"
)

// Actions returns all of them.
func Actions() []Action {
	return []Action{ReadCodes, UseCounters, AddAccounts, ChangeAccounts, DeleteAccounts, AddMembers}
}

// May reports whether a member with this role may do something in the vault.
func (r Role) May(do Action) bool {
	switch do {
	case ReadCodes, UseCounters:
		return slices.Contains(Roles(), r)
	case AddAccounts, ChangeAccounts, DeleteAccounts:
		return r == Owner || r == Editor
	case AddMembers:
		return r == Owner
	}
	return false
}
