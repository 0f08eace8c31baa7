package bundle

import (
	"fmt"
	"io/fs"
	"strings"
)

// WithSnapshots returns the bundle with what the schema looks like after each file:
// 0001.txt, 0002.txt and so on at the root of fsys, as migrate.Snapshots makes them.
// It reports every file that is missing or that has no migration at once, as a
// *BundleError. What Load passes over is passed over here.
//
// A bundle works without snapshots. With them, a change that was made by hand can be
// told, and which version a schema has whose ledger is lost.
func (b Bundle) WithSnapshots(fsys fs.FS) (Bundle, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return Bundle{}, fmt.Errorf("read the snapshots of the schema: %w", err)
	}
	unread := map[string]bool{}
	for _, entry := range entries {
		unread[entry.Name()] = !ignored(entry)
	}
	var problems []Problem
	snapshots := make([]string, len(b.migrations))
	for i, m := range b.migrations {
		file := snapshotFile(m.Version)
		content, err := fs.ReadFile(fsys, file)
		switch {
		case !unread[file]:
			problems = append(problems, Problem{
				File:    file,
				Message: "is missing: it is the snapshot of the schema after " + m.File + "; generate the snapshots",
			})
		case err != nil:
			problems = append(problems, Problem{File: file, Message: err.Error()})
		}
		delete(unread, file)
		snapshots[i] = strings.ReplaceAll(string(content), "\r\n", "\n") // as git may check it out
	}
	for _, entry := range entries {
		if unread[entry.Name()] {
			problems = append(problems, Problem{
				File:    entry.Name(),
				Message: fmt.Sprintf("is no snapshot of one of the %d migrations; delete it", len(b.migrations)),
			})
		}
	}
	if len(problems) > 0 {
		return Bundle{}, &Error{problems}
	}
	b.snapshots = snapshots
	return b, nil
}

// Snapshot returns what the schema looks like after a version, and false when the
// bundle has no snapshot of it.
func (b Bundle) Snapshot(version int) (text string, ok bool) {
	if version < 1 || version > len(b.snapshots) {
		return "", false
	}
	return b.snapshots[version-1], true
}

// HasSnapshots reports whether the bundle has snapshots.
func (b Bundle) HasSnapshots() bool { return len(b.snapshots) > 0 }

func snapshotFile(version int) string { return fmt.Sprintf("%04d.txt", version) }
