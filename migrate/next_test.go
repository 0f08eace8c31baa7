package migrate

import (
	"fmt"
	"testing"

	"github.com/avtotpy/avtotpy/migrate/internal/ledger"
	"github.com/avtotpy/avtotpy/migrate/privilege"
)

// eachFacts calls test with the facts of many databases: every state of the ledger, with a role that fits, lacks
// something, has too much or is not there, on servers that can be written to and that cannot.
func eachFacts(m *Migrator, test func(name string, s seen, status Status)) {
	declared := m.Role.Declared(m.Schema)
	roles := map[string]func(s *seen){
		"no role":            func(s *seen) { s.Role = nil },
		"a role that fits":   func(*seen) {},
		"a superuser":        func(s *seen) { s.Role.Superuser = true },
		"a privilege less":   func(s *seen) { s.Held.Grants = s.Held.Grants[1:] },
		"a privilege more":   func(s *seen) { s.Held.Grants[0].Verb = "DELETE" },
		"one outside":        func(s *seen) { s.Held.Grants[0].InSchema = false },
		"the migrator's own": func(s *seen) { s.Me.Name = m.Role.Name },
	}
	servers := map[string]func(s *seen){
		"a primary":   func(*seen) {},
		"a standby":   func(s *seen) { s.Server.Standby = true },
		"read-only":   func(s *seen) { s.Server.ReadOnly = "database" },
		"no CREATE":   func(s *seen) { s.Me.MayCreate = false },
		"not its own": func(s *seen) { s.Schema.Mine = false },
		"weak":        func(s *seen) { s.Me.CreatesRole = false },
	}
	for state := Blank; state <= LedgerLost; state++ {
		for role, ofRole := range roles {
			for server, ofServer := range servers {
				s := seen{
					Database: "d", Held: &privilege.Catalog{},
					Role: &privilege.RoleFacts{Name: m.Role.Name, Login: true, Limit: -1, Connects: true},
				}
				s.Me.Name, s.Me.MayCreate, s.Me.CreatesRole = "migrator", true, true
				s.Schema = &schemaSeen{Owner: "migrator", Mine: true, Creates: true, Ledger: true}
				s.Ledger = &ledger.Head{}
				for _, g := range declared {
					s.Held.Grants = append(s.Held.Grants, privilege.Held{Grant: g, InSchema: true})
				}
				ofRole(&s)
				ofServer(&s)
				status := Status{State: state, Target: m.Bundle.Version(), Role: s.Me.Name}
				switch state {
				case Blank:
					s.Schema, s.Ledger, status.Pending = nil, nil, m.Bundle.After(0)
				case Behind:
					status.Version, status.Pending = 1, m.Bundle.After(1)
				default: // nothing is pending
				}
				test(fmt.Sprintf("%s, %s, %s", state, role, server), s, status)
			}
		}
	}
}

// TestPlanIsWhatUpDoesNext holds the plan, which is printed, to the steps that Up does.
func TestPlanIsWhatUpDoesNext(t *testing.T) {
	t.Parallel()
	m := &Migrator{Schema: "app", Bundle: bundleOf(t, 2, 1), Role: privilege.Role{Name: "web"}}
	seenActions := map[action]int{}
	eachFacts(m, func(name string, s seen, status Status) {
		next := m.next(s, status, memory{opened: true})
		seenActions[next.action]++
		p := m.planOf(s, next)
		changes := len(p.Grant)+len(p.Revoke) > 0 || p.CreateRole
		switch next.action {
		case refuse:
			if p.Refusal == nil || changes || p.CreateSchema || len(status.Pending) == 0 && status.State <= Behind {
				t.Errorf("%s: Up refuses, and the plan is %+v", name, p)
			}
		case migrate:
			if p.Refusal != nil || len(p.Status.Pending) == 0 || p.CreateSchema != (s.Schema == nil) ||
				p.CreateRole != (s.Role == nil) {
				t.Errorf("%s: Up migrates, and the plan is %+v", name, p)
			}
		case grantRights:
			if !changes || len(p.Status.Pending) > 0 {
				t.Errorf("%s: Up changes privileges, and the plan is %+v", name, p)
			}
		case finish:
			if !p.Nothing() {
				t.Errorf("%s: Up has nothing to do, and the plan is %+v", name, p)
			}
		case openLedger:
			t.Errorf("%s: the ledger was opened before", name)
		}
		if again := m.next(s, status, memory{opened: true, granted: true}); again.action == grantRights &&
			s.Role != nil {
			t.Errorf("%s: what could not be granted is granted for ever", name)
		}
	})
	for a := refuse; a <= finish; a++ {
		if seenActions[a] == 0 && a != openLedger {
			t.Errorf("no facts lead to action %d", a)
		}
	}
}
