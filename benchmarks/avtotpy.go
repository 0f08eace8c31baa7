package main

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// avtotpy is our migrator with all that it promises, the service's role and its privileges
// included, which no peer has.
func avtotpy() tool {
	return tool{
		name: "AVTotpy", layout: plain,
		load: func(files fs.FS) (func(context.Context, *database, string) error, error) {
			bundle, err := bundle.Load(files)
			return func(ctx context.Context, d *database, conn string) error {
				_, err := migratorOf(bundle, d.web).Up(ctx, conn)
				return err
			}, err
		},
	}
}

// schemaName is ours alone: the peers work in public.
const schemaName = "app"

func migratorOf(bundle bundle.Bundle, web string) *migrate.Migrator {
	role := privilege.Role{Name: web, Password: password}
	// Some privileges, so that there is something to prove: on the first table, whatever it is called.
	for _, m := range bundle.Migrations() {
		var table string
		if _, err := fmt.Sscanf(m.Name, "add_%s", &table); err == nil {
			role.Privileges = append(role.Privileges,
				privilege.Privilege{On: "TABLE " + table, Allow: "SELECT, INSERT, UPDATE (label, amount), DELETE"})
		}
		if few := 50; len(role.Privileges) == few {
			break
		}
	}
	return &migrate.Migrator{Bundle: bundle, Schema: schemaName, Role: role, Program: "benchmark", Version: "1.0"}
}
