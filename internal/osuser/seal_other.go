//go:build unix && !linux

package osuser

// seal has nothing to do: there are no capabilities.
func seal() error { return nil }

// MayChangeUser has nothing to look at: root may.
func MayChangeUser() error { return nil }

// NoNewPrivileges has nothing to do: the system has no such thing.
func NoNewPrivileges() error { return nil }

// hide has nothing to do: the limit of core dumps has to do.
func hide() error { return nil }
