package privilege_test

import (
	"fmt"

	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// A role may do less than is declared, and more.
func ExampleRole_Diff() {
	role := privilege.Role{Name: "notes_web", Privileges: []privilege.Privilege{
		{On: "TABLE notes", Allow: "SELECT, INSERT (body)"},
	}}
	held := func(kind, object, verb string) privilege.Held {
		return privilege.Held{Grant: privilege.Grant{Kind: kind, Object: object, Verb: verb}, InSchema: true}
	}
	facts := privilege.Facts{
		Database: "notes", Schema: "notes", Owner: "notes_owner", Me: "notes_owner",
		Role: &privilege.RoleFacts{Name: "notes_web", Login: true, Limit: -1, Connects: true},
		Catalog: &privilege.Catalog{Grants: []privilege.Held{
			held("SCHEMA", "notes", "USAGE"), held("TABLE", "migrations", "SELECT"), held("TABLE", "notes", "SELECT"),
			held("TABLE", "notes", "TRUNCATE"),
		}},
	}
	for _, statement := range role.SQL(facts, role.Diff(facts), false) {
		fmt.Println(statement)
	}
	// Output:
	// REVOKE TRUNCATE ON TABLE "notes"."notes" FROM "notes_web" CASCADE
	// GRANT INSERT ("body") ON TABLE "notes"."notes" TO "notes_web"
}
