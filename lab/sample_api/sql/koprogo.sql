-- Schema and sample data of koprogo_db. Run by psql as a superuser of the cluster, in koprogo_db:
--   psql -d koprogo_db -v owner=koprogo -f koprogo.sql
-- The first run makes everything and prints "koprogo_db: made". Later runs change and print nothing.
-- The data is the same every time, but its dates are relative to the day it was made.
\set ON_ERROR_STOP on
\set QUIET on
SELECT to_regclass('public.users') IS NULL AS fresh \gset
\if :fresh
BEGIN;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
SET LOCAL ROLE :"owner";

CREATE TABLE users (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX users_created_at ON users (created_at);

CREATE TABLE buildings (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    address text NOT NULL,
    units integer NOT NULL CHECK (units > 0)
);

CREATE TABLE expenses (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    building_id integer NOT NULL REFERENCES buildings,
    created_by integer NOT NULL REFERENCES users,
    label text NOT NULL,
    amount numeric(12, 2) NOT NULL CHECK (amount >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    validated_at timestamptz,
    CHECK (validated_at >= created_at)
);
CREATE INDEX expenses_building ON expenses (building_id);
CREATE INDEX expenses_created_at ON expenses (created_at);
CREATE INDEX expenses_validated_at ON expenses (validated_at);

CREATE TABLE payments (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    building_id integer NOT NULL REFERENCES buildings,
    user_id integer NOT NULL REFERENCES users,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    due_date date NOT NULL,
    paid_at timestamptz
);
CREATE INDEX payments_due_date ON payments (due_date);

-- A session is a signed-in client. Its last request is what "active" means for a user.
CREATE TABLE sessions (
    token_hash text PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '7 days'
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_last_seen_at ON sessions (last_seen_at);

INSERT INTO buildings (name, address, units)
SELECT 'Residence ' || chr(64 + n), n * 3 || ' Sample Street', 4 + (n * 7) % 30
FROM generate_series(1, 12) AS n;

-- 240 users over 120 days: two a day. All have the lab's password (the generator signs in with it).
INSERT INTO users (email, password_hash, created_at)
SELECT 'user' || n || '@example.org',
    'pbkdf2_sha256$20000$lab$19a0a1148091b605caf64f91470a036fc200efaee71dc48f1b033207d6928348',
    now() - make_interval(mins => (n - 1) * 720 + (n * 37) % 300)
FROM generate_series(1, 240) AS n;

-- 1800 expenses over 90 days: twenty a day. One in six is still pending; the rest took 1 to 48 hours.
INSERT INTO expenses (building_id, created_by, label, amount, created_at, validated_at)
SELECT 1 + n % 12,
    1 + (n * 31) % 240,
    (ARRAY['Heating', 'Cleaning', 'Insurance', 'Lift maintenance', 'Roof repair', 'Garden'])[1 + n % 6],
    50 + (n * 7919) % 4000,
    made,
    CASE WHEN n % 6 <> 0 AND made + took < now() THEN made + took END
FROM generate_series(1, 1800) AS n,
    LATERAL (
        SELECT now() - make_interval(mins => n * 72) AS made,
            make_interval(hours => 1 + (n * 13) % 48) AS took
    ) AS times;

-- 1200 payments, ten a day from 90 days ago to 29 days ahead.
-- Of those due: 80 % were paid in time, 12 % late, 8 % not yet.
INSERT INTO payments (building_id, user_id, amount, due_date, paid_at)
SELECT 1 + n % 12,
    1 + (n * 17) % 240,
    100 + (n * 104729) % 900,
    due,
    CASE
        WHEN due >= current_date THEN NULL
        WHEN kind < 20 THEN due - make_interval(hours => (n * 11) % 240)
        WHEN kind < 23 THEN least(due + make_interval(hours => 30 + (n * 11) % 240), now())
    END
FROM generate_series(1, 1200) AS n,
    LATERAL (SELECT current_date - 90 + (n - 1) / 10 AS due, (n * 7) % 25 AS kind) AS facts;

-- 180 users were seen within 30 days, 60 of them within the last day. No token is known for these.
INSERT INTO sessions (token_hash, user_id, created_at, last_seen_at, expires_at)
SELECT 'seed-' || n, n, seen - interval '1 hour', seen, seen + interval '7 days'
FROM generate_series(1, 240) AS n,
    LATERAL (
        SELECT now() - CASE
            WHEN n % 4 = 0 THEN make_interval(mins => 5 + (n * 23) % 1380)
            WHEN n % 4 = 1 THEN make_interval(days => 35 + n % 40)
            ELSE make_interval(hours => 30 + (n * 29) % 600)
        END AS seen
    ) AS times;

COMMIT;
ANALYZE;
\echo koprogo_db: made
\endif
