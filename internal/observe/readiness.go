package observe

import (
	"fmt"
	"strings"
	"time"

	"github.com/avtotpy/avtotpy/migrate"
)

// A readiness is the answer of /readyz; docs/monitoring.md documents the names.
type readiness struct {
	Ready    bool                `json:"ready"`
	Phase    string              `json:"phase"` // of phases
	Since    time.Time           `json:"since"`
	Reason   string              `json:"reason,omitempty"`  // why it serves and is not ready
	Warning  string              `json:"warning,omitempty"` // what is wrong although it is ready
	State    string              `json:"state,omitempty"`   // of the schema, while it serves
	File     string              `json:"file,omitempty"`
	Number   int                 `json:"number,omitempty"` // of the file, among
	Of       int                 `json:"of,omitempty"`     // that are applied in this start
	Version  *int                `json:"schema_version,omitempty"`
	Target   *int                `json:"target_version,omitempty"`
	WaitsFor string              `json:"waits_for,omitempty"`
	Blocker  *migrate.Blocker    `json:"blocker,omitempty"`
	Index    *migrate.IndexBuild `json:"index,omitempty"`
}

func migrationReadiness(p migrate.Progress) readiness {
	r := readiness{
		Phase: string(p.Phase), Since: p.Since, File: p.File, Number: p.Number, Of: p.Of,
		WaitsFor: p.WaitsFor, Blocker: p.Blocker, Index: p.Index,
	}
	if p.Looked {
		r.Version, r.Target = &p.Version, &p.Target
	}
	return r
}

// String is for people, a line for each fact.
func (r readiness) String() string {
	switch {
	case r.Ready && r.Warning != "":
		return "ready\nwarning: " + r.Warning + "\n"
	case r.Ready:
		return "ready\n"
	case r.Phase == serving:
		return r.Reason + "\n"
	}
	var b strings.Builder
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s%s\n", name+":", value)
		}
	}
	b.WriteString("not ready\n")
	fact("phase", r.Phase)
	fact("since", fmt.Sprintf("%s (%s)", r.Since.UTC().Format(time.RFC3339), time.Since(r.Since).Truncate(time.Second)))
	if r.Version != nil {
		fact("schema", fmt.Sprintf("version %d of %d", *r.Version, *r.Target))
	}
	if r.File != "" {
		fact("file", fmt.Sprintf("%s, %d of %d", r.File, r.Number, r.Of))
	}
	fact("waits for", r.WaitsFor)
	if r.Blocker != nil {
		fact("blocked by", r.Blocker.String())
	}
	if r.Index != nil {
		fact("index", r.Index.String())
	}
	return b.String()
}
