// Command upper applies the files of a folder with our migrator and nothing else, so that
// the peak of its memory means something. It prints what it did as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/avtotpy/avtotpy/migrate"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: UPPER_CONN=postgres://… upper FOLDER ROLE")
		os.Exit(64)
	}
	if err := up(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func up(folder, role string) error {
	start := time.Now()
	bundle, err := bundle.Load(os.DirFS(folder))
	if err != nil {
		return err
	}
	m := migrate.Migrator{
		Bundle: bundle, Schema: "app", Program: "upper", Version: "1.0",
		Role: privilege.Role{Name: role, Password: "upper"},
	}
	loaded := time.Now()
	report, err := m.Up(context.Background(), os.Getenv("UPPER_CONN"))
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"applied": len(report.Applied), "load": loaded.Sub(start), "up": time.Since(loaded), "status": string(status),
	})
}
