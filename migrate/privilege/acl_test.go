package privilege

import (
	"slices"
	"testing"
)

func TestAnACLIsReadAsTheServerWritesIt(t *testing.T) {
	for name, c := range map[string]struct {
		list  acl
		role  string
		want  []string
		named bool
	}{
		"two rights, one to hand on": {
			acl{"owner=arwdDxt/owner", "web=ar*/owner"},
			"web",
			[]string{"INSERT", "SELECT to hand on"},
			true,
		},
		"from somebody else":         {acl{"web=U/other"}, "web", []string{"USAGE by other"}, true},
		"everybody":                  {acl{"=Tc/owner", "web=c/owner"}, "", []string{"TEMPORARY", "CONNECT"}, true},
		"not named":                  {acl{"web2=r/owner"}, "web", nil, false},
		"only the grantor":           {acl{"other=r/web"}, "web", nil, true},
		"none":                       {nil, "web", nil, false},
		"a name in quotes":           {acl{`"the ""web""=r/x"=r/owner`}, `the "web"=r/x`, []string{"SELECT"}, true},
		"a grantor in quotes":        {acl{`web=s/"a/b"`}, "web", []string{"SET by a/b"}, true},
		"a right of a later release": {acl{"web=rZ*/owner"}, "web", []string{"SELECT", "Z to hand on"}, true},
		"no letters":                 {acl{"web=/owner"}, "web", nil, true},
		"cut off":                    {acl{`"web`, "web", ""}, "web", nil, true},
	} {
		grants, named := c.list.of(c.role, "owner")
		var got []string
		for _, g := range grants {
			what := g.Verb
			if g.Grantable {
				what += " to hand on"
			}
			if g.Grantor != "" {
				what += " by " + g.Grantor
			}
			got = append(got, what)
		}
		if !slices.Equal(got, c.want) || named != c.named {
			t.Errorf("%s: %q, named %t; want %q, %t", name, got, named, c.want, c.named)
		}
	}
}
