package pg

import (
	"strings"
)

func (e *PrivilegeError) Error() string {
	if len(e.SQL) == 0 {
		return e.Lacks
	}
	return e.Lacks + ". A DBA can run:\n  " + strings.Join(e.SQL, ";\n  ") + ";"
}
