package review

import "strings"

// Volatile are the functions of the server that give another value for each row.
func Volatile() []string { return volatile() }

// Rules are the names of what Bundle finds.
func Rules() []string { return strings.Split(joinRules(), ", ") }
