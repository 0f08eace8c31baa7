package migrate

import (
	_ "embed"
	"strings"

	"github.com/avtotpy/avtotpy/migrate/internal/sqltext"
)

// A detour is an object outside of the schema that reaches its tables with the rights of somebody else, and that the
// service's role may use: a view, or a function that is SECURITY DEFINER. What a function does is not known; its owner
// may do more than the role.
type detour struct {
	What string `json:"what"`
	SQL  string `json:"sql"`
}

//go:embed detour.sql
var detourSQL string

// askDetours asks for them; role is an expression.
func (m *Migrator) askDetours(role string) string {
	return strings.NewReplacer("$schema", sqltext.QuoteText(m.Schema), "$role", role).Replace(detourSQL)
}
