# make run   starts AVTotpy on a PostgreSQL of its own and prints the address
# make test  runs all tests
# make lint  runs the linters
# Each installs what it needs and does not find.

.PHONY: run test lint build docs

run:
	@scripts/need postgres
	go run ./cmd/avtotpy

build:
	CGO_ENABLED=0 go build -trimpath -o bin/avtotpy ./cmd/avtotpy

test:
	@scripts/need compiler postgres chromium pgbouncer
	go test -race -shuffle=on ./...

lint:
	cd tools && go build -o ../.cache/bin/ tool
	.cache/bin/golangci-lint run
	.cache/bin/gofumpt -l . | (! grep .)

# docs writes the pages and golden files that are generated from code.
docs:
	go test ./internal/config ./internal/schema ./internal/web -update
