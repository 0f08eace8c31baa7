package main

import (
	"context"
	"io/fs"
	"runtime/debug"
	"strings"
)

// A tool is a way to apply a history to a database.
type tool struct {
	name   string
	module string // whose version the table shows; empty for a floor
	floor  bool

	// layout is how the tool wants a file to be called and to begin.
	layout func(sqlFile) (name, content string)

	// load reads the files as far as the tool does that before it connects; up connects, applies
	// what is pending, and closes its connections.
	load func(files fs.FS) (up func(ctx context.Context, d *database, conn string) error, err error)
}

// tools lists ours, the peers and the floors, in the order of their turns.
func tools() []tool {
	return []tool{avtotpy(), gooseTool(), golangMigrate(), ternTool(), sqlMigrate(), singleMessages(), oneTransaction()}
}

// versionOf returns the version of a module that is built in.
func versionOf(module string) string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dependency := range build.Deps {
		if dependency.Path == module {
			return strings.TrimSuffix(dependency.Version, "+incompatible")
		}
	}
	return ""
}

// plain is a file as it is.
func plain(f sqlFile) (name, content string) { return f.file(".sql"), f.sql }
