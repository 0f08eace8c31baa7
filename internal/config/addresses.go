package config

import "errors"

// Addresses returns where a start with this environment listens, for people and, if it does, for machines. It reads
// nothing else and misses nothing else.
func Addresses(environ []string) (listen, health string, err error) {
	l := loader{env: parseEnviron(environ)}
	for _, v := range variables() {
		if v.name == listenAddr || v.name == healthAddr {
			l.read(v)
		}
	}
	return l.config.ListenAddr, l.config.HealthAddr, errors.Join(l.problems...)
}
