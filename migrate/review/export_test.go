package review

import "strings"

// Rules are the names of what Bundle finds.
func Rules() []string { return strings.Split(joinRules(), ", ") }
