package connstring

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// variables are those of the environment that pgx reads, as what.
func variables() map[string]string {
	return map[string]string{
		"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user", "PGPASSWORD": "password",
		"PGPASSFILE": "passfile",
		"PGAPPNAME":  "application_name", "PGCONNECT_TIMEOUT": "connect_timeout", "PGSSLMODE": "sslmode",
		"PGSSLKEY":  "sslkey",
		"PGSSLCERT": "sslcert", "PGSSLCERTMODE": "sslcertmode", "PGSSLSNI": "sslsni", "PGSSLROOTCERT": "sslrootcert",
		"PGSSLPASSWORD": "sslpassword", "PGSSLNEGOTIATION": "sslnegotiation",
		"PGTARGETSESSIONATTRS": "target_session_attrs",
		"PGSERVICE":            "service", "PGSERVICEFILE": "servicefile", "PGOPTIONS": "options",
		"PGMINPROTOCOLVERSION": "min_protocol_version",
		"PGMAXPROTOCOLVERSION": "max_protocol_version", "PGCHANNELBINDING": "channel_binding",
		"PGREQUIREAUTH": "require_auth",
	}
}

// complete adds what the string leaves out, as pgx does: the environment, over it the service, over it the string.
func (s settings) complete(getenv func(string) string) (settings, error) {
	all := settings{}
	for variable, name := range variables() {
		if value := getenv(variable); value != "" {
			all[name] = setting{value, variable + " in the environment"}
		}
	}
	service, named := s["service"]
	if !named {
		service, named = all["service"]
	}
	if named {
		file, ok := s["servicefile"]
		if !ok {
			file = all["servicefile"]
		}
		if file.value == "" {
			file = setting{filepath.Join(getenv("HOME"), ".pg_service.conf"), "the service file"}
		}
		found, err := readService(service, file)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, found)
	}
	maps.Copy(all, s)
	return all, nil
}

// readService returns what a service file says of a service.
func readService(service, file setting) (settings, error) {
	content, err := os.ReadFile(file.value)
	if err != nil {
		return nil, &Error{
			Part: service.part, Problem: "names a service, and the service file cannot be read (" + reason(err) + ")",
			Next: "set PGSERVICEFILE to its path, or write host, port, user and dbname themselves",
		}
	}
	var found settings
	section := ""
	for n, line := range strings.Split(string(content), "\n") {
		part := fmt.Sprintf("line %d of the service file", n+1)
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		switch {
		case line == "", line[0] == '#':
		case line[0] == '[' && line[len(line)-1] == ']':
			if section = line[1 : len(line)-1]; section == service.value {
				found = settings{} // of two the last one counts, as for pgx
			}
		case section == "" || !ok:
			return nil, &Error{
				Part: part, Problem: "is not NAME=VALUE under the [NAME] of a service",
				Next: "correct the line",
			}
		case section == service.value:
			if err := found.add(name, strings.TrimSpace(value), part); err != nil {
				return nil, err
			}
		}
	}
	if found == nil {
		return nil, &Error{
			Part: service.part, Problem: "names a service that the service file does not hold",
			Next: "correct the name, or add the service to the file",
		}
	}
	return found, nil
}
