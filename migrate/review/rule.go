package review

import "strings"

// A rule is the short name of a mistake that Bundle finds.
type rule string

const (
	ruleQualified    rule = "qualified"
	ruleSchema       rule = "schema"
	ruleLedger       rule = "ledger"
	ruleIfExists     rule = "if-exists"
	ruleOrReplace    rule = "or-replace"
	rulePrivileges   rule = "privileges"
	ruleColumnType   rule = "column-type"
	ruleFKIndex      rule = "fk-index"
	ruleMinVersion   rule = "min-version"
	ruleConcurrently rule = "concurrently"
	ruleNotValid     rule = "not-valid"
	ruleAttach       rule = "attach"
	ruleUsingIndex   rule = "using-index"
	ruleNotNull      rule = "not-null"
	ruleVolatile     rule = "volatile-default"
	ruleRewrite      rule = "rewrite"
	ruleHeldLock     rule = "held-lock"
	ruleWhole        rule = "whole-table"
	ruleTruncate     rule = "truncate"
)

// rules returns all of them, in the order of docs/writing-migrations.md.
func rules() []rule {
	return []rule{
		ruleQualified, ruleSchema, ruleLedger, ruleIfExists, ruleOrReplace, rulePrivileges, ruleColumnType,
		ruleFKIndex, ruleMinVersion,
		ruleConcurrently, ruleNotValid, ruleAttach, ruleUsingIndex, ruleNotNull, ruleVolatile, ruleRewrite,
		ruleHeldLock, ruleWhole, ruleTruncate,
	}
}

func joinRules() string {
	names := make([]string, len(rules()))
	for i, r := range rules() {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}
