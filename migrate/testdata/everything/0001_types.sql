-- Everything here is named without its schema: the snapshot must be the same whatever
-- the schema is called.
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE TYPE "Empty Enum" AS ENUM ();
CREATE COLLATION numeric_order (provider = icu, locale = 'en-u-kn-true', deterministic = false);
CREATE COLLATION plain FROM "C";
CREATE DOMAIN percentage AS numeric(5, 2) NOT NULL DEFAULT 0 CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN word AS text COLLATE "C" CONSTRAINT no_space CHECK (VALUE !~ '\s');
CREATE TYPE point3 AS (x double precision, y double precision, label text COLLATE "C", mood mood);
CREATE FUNCTION distance(a timestamptz, b timestamptz) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT RETURN extract(epoch FROM a - b);
CREATE TYPE span AS RANGE (subtype = timestamptz, subtype_diff = distance, multirange_type_name = spans);
CREATE SEQUENCE plain_sequence;
CREATE SEQUENCE odd_sequence AS integer INCREMENT -3 MINVALUE -100 MAXVALUE 100 START 7 CACHE 5 CYCLE;
CREATE CONVERSION odd_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY plain_dictionary (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION plain_configuration (COPY = simple);
