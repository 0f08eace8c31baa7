# make run   starts AVTotpy on a PostgreSQL of its own and prints the address
# make test  runs all tests
# make test-newest  runs them on the newest PostgreSQL, and looks for data races
# make test-long  runs the tests that have a long form, in that form
# make lint  runs the linters
# make bench measures starts against other tools, in 2 minutes and smaller; make bench-full as the reaches want it, in 20
# Each installs what it needs and does not find.

.PHONY: run test test-newest test-long lint build docs bench bench-full

run:
	@scripts/need postgres
	CGO_ENABLED=0 go build -o bin/avtotpy ./cmd/avtotpy
	@bin/avtotpy

build:
	CGO_ENABLED=0 go build -trimpath -o bin/avtotpy ./cmd/avtotpy

# Tests mostly wait for PostgreSQL, so more of a package's run at once than there are cores.
TEST = go test -shuffle=on -timeout 30m -parallel 8

test:
	@scripts/need postgres chromium pgbouncer
	$(TEST) ./...

# test-newest uses the newest PostgreSQL, where test uses the system's.
test-newest:
	@scripts/need compiler chromium pgbouncer
	bin=$$(scripts/postgres 18) && PGTEST_BIN=$$bin $(TEST) -race ./...

# test-long runs the long forms of tests, each of which says what that is.
test-long:
	@scripts/need postgres pgbouncer nginx haproxy caddy chromium
	AVTOTPY_LONG=1 go test ./cmd/avtotpy -count=1 -timeout 20m -v -run TestTheDocumentedProxies
	AVTOTPY_LONG=1 go test ./cmd/avtotpy -count=1 -timeout 60m -v -run 'Primary|Switchover|Pooler|Lock|ReadOnly'
	AVTOTPY_LONG=1 go test ./cmd/avtotpy -count=1 -timeout 20m -v -run TestRootIsGivenUp # as root
	AVTOTPY_LONG=1 go test ./cmd/avtotpy -count=1 -timeout 20m -v -run TestPatroni # with apt-get install patroni etcd-server haproxy
	AVTOTPY_LONG=1 go test ./cmd/avtotpy ./migrate/connstring -count=1 -timeout 60m -v -run 'BrokenConnectionStrings|ReadByPgx'
	AVTOTPY_LONG=1 go test ./cmd/avtotpy -count=1 -timeout 20m -v -run TestBodiesOfStrangersCostLittle
	axe=$$(scripts/axe) && AXE=$$axe go test ./internal/web -count=1 -timeout 20m -v -run 'TestPagesFitAPhone|TestSeveralLinksAreReviewed'
	AVTOTPY_LONG=1 go test ./internal/web -count=1 -timeout 20m -v -run 'TestEveryFormWorksBeforeItsScriptsCome|TestAListOfHundredsIsLight'
	MIGRATE_LONG=1 go test ./migrate -count=1 -timeout 60m -v -run 'TestACrashAtAnyMessageIsResumed|TestAReportAfterLostAnswers|TestARehearsalBeginsAgain|TestReplicasTakeEachOthersFilesForNoDrift'
	AVTOTPY_LONG=1 go test ./migrate -count=1 -timeout 20m -v -run 'TestAScratchDatabaseThatCannotBeDropped|TestAHardenedCatalogueIsNamed|TestWithoutAnythingOfTheServers'
	REVIEW_CHANGES=5000 go test ./migrate/review -run TestTheReviewAgreesWithTheServer -count=1 -timeout 60m -v
	bin=$$(scripts/postgres 18) && PGTEST_BIN=$$bin REVIEW_CHANGES=5000 REVIEW_SEED=2 go test ./migrate/review -run TestTheReviewAgreesWithTheServer -count=1 -timeout 60m -v
	bins=$$(for v in 15 16 17 18; do scripts/postgres $$v; done | paste -sd,) && SNAPSHOT_BINS=$$bins SNAPSHOT_STATEMENTS=5000 \
		go test ./migrate -run TestASchemaHasOneSnapshotOnEachVersion -count=1 -v -timeout 2h

lint:
	cd tools && go build -o ../.cache/bin/ tool
	.cache/bin/golangci-lint run
	GOOS=darwin go build ./... # the linters read only what Linux builds
	.cache/bin/gofumpt -l . | (! grep .)

# docs writes the page and the golden file that are generated from code, and paints the picture of the README.
docs:
	go test ./internal/config ./internal/schema -update
	mkdir -p .cache/pictures
	go test ./internal/web -count=1 -run TestPagesFitAPhone -pictures "$(CURDIR)/.cache/pictures"
	cp .cache/pictures/list-desk-light.png docs/images/list.png

# bench writes its table and plot to .cache/bench, bench-full to benchmarks/, where the README shows them.
bench:
	@scripts/need postgres
	cd benchmarks && go run . -o ../.cache/bench

bench-full:
	@scripts/need postgres
	cd benchmarks && go run . -full -o .
