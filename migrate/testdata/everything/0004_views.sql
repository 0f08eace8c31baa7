-- PostgreSQL 15 names the table before each column of these …
CREATE VIEW one AS SELECT id, "Odd Name" AS name, (place).x, (SELECT max(a) FROM quick WHERE quick.a = parent.number) AS most, 'parent.id'::text AS literal
    FROM parent WHERE mood IS DISTINCT FROM 'sad' AND number > 0 AND extract(year FROM seen) > 2000 ORDER BY id;
CREATE VIEW aliased WITH (security_barrier, security_invoker = true) AS SELECT p.mood, count(*) AS many, count(p.*) AS rows, string_agg(p."Odd Name" COLLATE plain, ',' ORDER BY p.id)
    FROM parent p GROUP BY p.mood HAVING count(*) > 1 LIMIT 10;
CREATE VIEW from_function AS SELECT n, n::mood AS mood FROM unnest(ARRAY['sad', 'happy']) WITH ORDINALITY u (n, o) WHERE o > 0;
CREATE VIEW from_query AS SELECT a, b FROM (SELECT q.a, q.a + 1 AS b FROM quick q) s WHERE a + b > 3 FOR UPDATE OF s;
CREATE VIEW sampled AS SELECT a FROM ONLY quick TABLESAMPLE bernoulli (10);
CREATE VIEW with_query AS WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT r.n + 1 FROM r WHERE r.n < 5) SELECT n FROM r WHERE n > 1;
CREATE VIEW changeable AS SELECT a FROM quick WHERE a > 0 WITH LOCAL CHECK OPTION;
ALTER VIEW changeable ALTER COLUMN a SET DEFAULT 7;
-- … and none of these, nor does a later one.
CREATE VIEW joined AS SELECT p.id, c.parent_too, plain.a FROM parent p JOIN "Child ""Two""" c ON c.parent_id = p.id LEFT JOIN quick plain ON plain.a = p.number;
CREATE VIEW crossed AS SELECT p.id, q.a FROM parent p, quick q WHERE p.number = q.a;
CREATE VIEW united AS SELECT id::integer FROM parent UNION SELECT a FROM quick EXCEPT (SELECT 5 INTERSECT SELECT id FROM parts);
CREATE VIEW constant AS VALUES (1, 'a'), (2, 'b');
CREATE VIEW of_another AS SELECT relname, 'quick'::regclass AS class FROM pg_class;
CREATE MATERIALIZED VIEW kept WITH (fillfactor = 80) AS SELECT id, mood FROM parent WHERE id > 0 WITH NO DATA;
CREATE UNIQUE INDEX kept_id ON kept (id);
CREATE TRIGGER instead INSTEAD OF INSERT ON one FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE VIEW windowed AS SELECT DISTINCT a, rank() OVER w FROM quick WINDOW w AS (PARTITION BY a) OFFSET 1;
