/**
 * Tables and functions of budgets in PostgreSQL. All times are the database's, so that the clocks of servers may
 * differ. A function that was released keeps its name and meaning: a changed one gets the next number.
 *
 * `weir_budgets_v1` does all that one server wants of the budgets in one transaction: it settles reservations,
 * counts refusals, and reserves claims one after the other, each only if spent + held + claim stays within every
 * limit. Rows are locked in the order of their names, so that servers never wait for each other in a circle.
 */
export const BUDGET_SCHEMA: readonly string[] = [
  `
CREATE TABLE weir_budgets (
  name text PRIMARY KEY,
  period text COLLATE "C" NOT NULL DEFAULT '',
  spent bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  refused bigint NOT NULL DEFAULT 0,
  -- levels whose alert was sent in this period
  told text[] NOT NULL DEFAULT '{}',
  -- actual costs and upper bounds of all that was settled, for what a lost answer probably cost
  settled numeric NOT NULL DEFAULT 0,
  bounds numeric NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE weir_owners (owner text PRIMARY KEY, expires timestamptz NOT NULL);

CREATE TABLE weir_reservations (
  id text PRIMARY KEY,
  owner text NOT NULL,
  nanos bigint NOT NULL,
  -- the period of each of its budgets, by name
  periods jsonb NOT NULL,
  -- open, settled, or lost with its server
  state text NOT NULL CHECK (state IN ('open', 'settled', 'lost')),
  -- what a lost one was counted as, by budget
  counted jsonb,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX weir_reservations_open ON weir_reservations (owner) WHERE state = 'open';
CREATE INDEX weir_reservations_at ON weir_reservations (at);

CREATE FUNCTION weir_period_v1(per text) RETURNS text LANGUAGE sql AS $$
  SELECT CASE per
    WHEN 'total' THEN 'total'
    WHEN 'month' THEN to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM')
    ELSE to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD') END
$$;

-- every item has "budgets": [{name, per, limit, action, alert_at}]; settles have id, nanos and bound, refusals
-- a count, claims id and nanos
CREATE FUNCTION weir_budgets_v1(p_owner text, p_settles jsonb, p_refusals jsonb, p_claims jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_item jsonb; v_b jsonb; v_res record; v_row record;
  v_names text[]; v_refusal jsonb; v_refusals jsonb := '{}'; v_alerts jsonb := '[]'; v_periods jsonb;
  v_amount bigint; v_limit bigint; v_reason text; v_level text;
BEGIN
  SELECT array_agg(DISTINCT x->>'name') INTO v_names
    FROM jsonb_array_elements(p_settles || p_refusals || p_claims) q, jsonb_array_elements(q->'budgets') x;
  INSERT INTO weir_budgets (name)
    SELECT n FROM unnest(v_names) n WHERE NOT EXISTS (SELECT 1 FROM weir_budgets w WHERE w.name = n) ORDER BY 1
    ON CONFLICT DO NOTHING;
  PERFORM 1 FROM weir_budgets w WHERE w.name = ANY (v_names) ORDER BY w.name FOR UPDATE;
  -- a period is never followed by an earlier one
  UPDATE weir_budgets w SET period = p.period, spent = 0, held = 0, told = '{}'
    FROM (SELECT DISTINCT ON (x->>'name') x->>'name' AS name, weir_period_v1(x->>'per') AS period
      FROM jsonb_array_elements(p_settles || p_refusals || p_claims) q, jsonb_array_elements(q->'budgets') x) p
    WHERE w.name = p.name AND (w.period < p.period OR length(w.period) <> length(p.period));

  FOR v_item IN SELECT * FROM jsonb_array_elements(p_settles) LOOP
    v_amount := (v_item->>'nanos')::bigint;
    SELECT * INTO v_res FROM weir_reservations r WHERE r.id = v_item->>'id' FOR UPDATE;
    IF NOT FOUND THEN
      -- admitted without the store, or given up before it arrived here
      INSERT INTO weir_reservations (id, owner, nanos, periods, state)
        VALUES (v_item->>'id', p_owner, v_amount, '{}', 'settled') ON CONFLICT DO NOTHING;
      CONTINUE WHEN v_amount = 0;
      FOR v_b IN SELECT * FROM jsonb_array_elements(v_item->'budgets') LOOP
        UPDATE weir_budgets w SET spent = w.spent + v_amount WHERE w.name = v_b->>'name';
      END LOOP;
    ELSIF v_res.state = 'settled' THEN
      CONTINUE;
    ELSE
      UPDATE weir_reservations r SET state = 'settled' WHERE r.id = v_res.id;
      UPDATE weir_budgets w SET
          spent = w.spent + v_amount - coalesce((v_res.counted->>w.name)::bigint, 0),
          held = w.held - CASE v_res.state WHEN 'open' THEN v_res.nanos ELSE 0 END
        WHERE v_res.periods ? w.name AND w.period = v_res.periods->>w.name;
      IF v_res.state = 'open' AND v_amount > 0 THEN
        UPDATE weir_budgets w SET settled = w.settled + v_amount, bounds = w.bounds + v_res.nanos
          WHERE v_res.periods ? w.name;
      END IF;
    END IF;
    FOR v_b IN SELECT * FROM jsonb_array_elements(v_item->'budgets') LOOP
      FOR v_level IN SELECT * FROM jsonb_array_elements_text(coalesce(v_b->'alert_at', '[]')) LOOP
        UPDATE weir_budgets w SET told = w.told || v_level
          WHERE w.name = v_b->>'name' AND w.spent >= v_level::numeric * (v_b->>'limit')::bigint AND NOT v_level = ANY (w.told)
          RETURNING w.period, w.spent INTO v_row;
        IF FOUND THEN
          v_alerts := v_alerts || jsonb_build_object('budget', v_b->>'name', 'level', v_level::float8,
            'period', v_row.period, 'spent', v_row.spent);
        END IF;
      END LOOP;
    END LOOP;
  END LOOP;

  FOR v_item IN SELECT * FROM jsonb_array_elements(p_claims) LOOP
    v_amount := (v_item->>'nanos')::bigint;
    v_refusal := NULL;
    v_periods := '{}';
    FOR v_b IN SELECT * FROM jsonb_array_elements(v_item->'budgets') LOOP
      SELECT * INTO v_row FROM weir_budgets w WHERE w.name = v_b->>'name';
      v_periods := v_periods || jsonb_build_object(v_row.name, v_row.period);
      v_limit := (v_b->>'limit')::bigint;
      CONTINUE WHEN v_b->>'action' = 'alert' OR v_row.spent + v_row.held + v_amount <= v_limit;
      CONTINUE WHEN v_refusal IS NOT NULL AND v_b->>'action' <> 'stop';
      v_reason := CASE WHEN v_amount > v_limit THEN 'too_large' WHEN v_row.spent + v_amount > v_limit THEN 'spent' ELSE 'held' END;
      v_refusal := jsonb_build_object('budget', v_row.name, 'reason', v_reason);
      EXIT WHEN v_b->>'action' = 'stop';
    END LOOP;
    IF v_refusal IS NULL THEN
      INSERT INTO weir_reservations (id, owner, nanos, periods, state)
        VALUES (v_item->>'id', p_owner, v_amount, v_periods, 'open') ON CONFLICT DO NOTHING;
      IF FOUND THEN
        UPDATE weir_budgets w SET held = w.held + v_amount WHERE v_periods ? w.name;
      END IF;
    ELSE
      v_refusals := v_refusals || jsonb_build_object(v_item->>'id', v_refusal);
      p_refusals := p_refusals || jsonb_build_object('budget', v_refusal->>'budget', 'count', 1);
    END IF;
  END LOOP;

  FOR v_item IN SELECT * FROM jsonb_array_elements(p_refusals) LOOP
    UPDATE weir_budgets w SET refused = w.refused + (v_item->>'count')::bigint WHERE w.name = v_item->>'budget';
    UPDATE weir_budgets w SET told = w.told || 'refusing'::text
      WHERE w.name = v_item->>'budget' AND NOT 'refusing' = ANY (w.told)
      RETURNING w.period, w.spent INTO v_row;
    IF FOUND THEN
      v_alerts := v_alerts || jsonb_build_object('budget', v_item->>'budget', 'level', 'refusing',
        'period', v_row.period, 'spent', v_row.spent);
    END IF;
  END LOOP;
  RETURN jsonb_build_object('refusals', v_refusals, 'alerts', v_alerts);
END $$;

-- Prolongs a server's lease and settles what servers without one have left: 'expected' counts what their answers
-- probably cost, by the share of its upper bounds that this budget has paid so far; 'bound' counts upper bounds,
-- 'nothing' nothing.
CREATE FUNCTION weir_lease_v1(p_owner text, p_lease interval, p_rule text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_lost record; v_name text; v_row record; v_amounts jsonb; v_amount bigint; v_count bigint := 0;
BEGIN
  IF p_owner IS NOT NULL THEN
    INSERT INTO weir_owners VALUES (p_owner, clock_timestamp() + p_lease)
      ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires;
  END IF;
  -- one server at a time
  IF NOT pg_try_advisory_xact_lock(7305813) THEN RETURN 0; END IF;
  IF EXISTS (SELECT 1 FROM weir_reservations r LEFT JOIN weir_owners o USING (owner)
      WHERE r.state = 'open' AND (o.owner IS NULL OR o.expires < clock_timestamp())) THEN
    PERFORM 1 FROM weir_budgets w ORDER BY w.name FOR UPDATE;
    FOR v_lost IN SELECT r.* FROM weir_reservations r LEFT JOIN weir_owners o USING (owner)
        WHERE r.state = 'open' AND (o.owner IS NULL OR o.expires < clock_timestamp())
        ORDER BY r.id FOR UPDATE OF r LOOP
      v_amounts := '{}';
      FOR v_name IN SELECT * FROM jsonb_object_keys(v_lost.periods) LOOP
        SELECT * INTO v_row FROM weir_budgets w WHERE w.name = v_name;
        v_amount := CASE p_rule WHEN 'nothing' THEN 0 WHEN 'bound' THEN v_lost.nanos
          ELSE CASE WHEN v_row.bounds > 0 THEN least(v_lost.nanos, ceil(v_lost.nanos * v_row.settled / v_row.bounds)) ELSE v_lost.nanos END END;
        CONTINUE WHEN v_row.period IS DISTINCT FROM v_lost.periods->>v_name;
        UPDATE weir_budgets w SET spent = w.spent + v_amount, held = w.held - v_lost.nanos WHERE w.name = v_row.name;
        v_amounts := v_amounts || jsonb_build_object(v_name, v_amount);
      END LOOP;
      UPDATE weir_reservations r SET state = 'lost', counted = v_amounts WHERE r.id = v_lost.id;
      v_count := v_count + 1;
    END LOOP;
  END IF;
  DELETE FROM weir_reservations r WHERE r.state <> 'open' AND r.at < clock_timestamp() - interval '1 day';
  DELETE FROM weir_owners o WHERE o.expires < clock_timestamp() - interval '1 day';
  RETURN v_count;
END $$;
`,
]
