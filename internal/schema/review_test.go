package schema_test

import (
	"testing"

	"github.com/avtotpy/avtotpy/internal/schema"
	"github.com/avtotpy/avtotpy/migrate/bundle"
	"github.com/avtotpy/avtotpy/migrate/review"
)

// TestContributorsMistakesAreFound judges the files that no release holds yet; what
// each rule wants, and how a file says that it is wrong, is in docs/writing-migrations.md.
func TestContributorsMistakesAreFound(t *testing.T) {
	t.Parallel()
	bundle, err := bundle.Load(schema.Files()) // without the snapshots, which -update is about to write
	if err != nil {
		t.Fatal(err)
	}
	if schema.Released > bundle.Version() {
		t.Fatalf("version %d is said to be released, and the last file is %d", schema.Released, bundle.Version())
	}
	for _, p := range review.Bundle(bundle, schema.Name, schema.Released) {
		t.Error(p)
	}
}

// TestTheFirstFilesWouldDoAfterReleases is for the review's sake: in real files that are
// good it finds nothing, wherever a release is thought to be between them. Later
// files need not hold to that, when they belong to one release.
func TestTheFirstFilesWouldDoAfterReleases(t *testing.T) {
	t.Parallel()
	bundle, err := bundle.Load(schema.Files()) // without the snapshots, which -update is about to write
	if err != nil {
		t.Fatal(err)
	}
	for released := range 11 {
		for _, p := range review.Bundle(bundle, schema.Name, released) {
			if p.File < "0012" {
				t.Errorf("after a release of %04d: %s", released, p)
			}
		}
	}
}
