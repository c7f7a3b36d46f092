import { between, pick, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { words } from '../lists.ts'

/** Code or a message with a bug in it, and how hard the bug is to see. */
const FAULTS: readonly { readonly text: string; readonly difficulty: number }[] = [
  {
    text: 'def {fn}({arg}):\n    retrun {arg} + {n}\n\nSyntaxError: invalid syntax',
    difficulty: 0.02,
  },
  { text: "{arg} = {}\nprint({arg}['{key}'])\n\nKeyError: '{key}'", difficulty: 0.04 },
  {
    text: 'const {arg} = {n}\n{arg} = {arg} + 1\n\nTypeError: Assignment to constant variable.',
    difficulty: 0.05,
  },
  {
    text: 'print(\'{key}: \' + {n})\n\nTypeError: can only concatenate str (not "int") to str',
    difficulty: 0.05,
  },
  { text: "import {lib}\n\nModuleNotFoundError: No module named '{lib}'", difficulty: 0.08 },
  {
    text: 'function {fn}({arg}) {\n  for (let i = 0; i <= {arg}.length; i++) console.log({arg}[i].{key})\n}\n\nTypeError: Cannot read properties of undefined',
    difficulty: 0.22,
  },
  {
    text: 'def {fn}({arg}=[]):\n    {arg}.append({n})\n    return {arg}\n\nSecond call returns two items',
    difficulty: 0.3,
  },
  {
    text: 'SELECT {key}, COUNT(*) FROM {fn} WHERE COUNT(*) > {n}\n\nERROR: aggregate functions are not allowed in WHERE',
    difficulty: 0.2,
  },
  {
    text: 'useEffect(() => { set_{key}({arg}.filter(x => x.{key} > {n})) })\n\nToo many re-renders after a click',
    difficulty: 0.36,
  },
  {
    text: 'async fn {fn}({arg}: Arc<Mutex<Vec<u32>>>) {\n  let guard = {arg}.lock().unwrap();\n  {lib}::flush(guard.len()).await;\n}\n\nfuture cannot be sent between threads safely; sometimes a deadlock',
    difficulty: 0.68,
  },
  {
    text: 'go func() { {arg}["{key}"] += {n} }()\ngo func() { {arg}["{key}"] -= {n} }()\n\nfatal error: concurrent map writes, a data race about once in 10,000 runs',
    difficulty: 0.6,
  },
  {
    text: 'pthread_mutex_lock(&{arg}->lock);\nif ({fn}({arg}) < {n}) return -1;\npthread_mutex_unlock(&{arg}->lock);\n\nWorker threads hang under load, thread sanitizer is silent',
    difficulty: 0.66,
  },
  {
    text: 'volatile int {arg}_ready;\n{arg}_data = {fn}({n}); {arg}_ready = 1;\n\nReaders on ARM see stale {arg}_data: memory ordering?',
    difficulty: 0.8,
  },
  {
    text: 'char *{fn}(char *{arg}) { char buf[{n}]; strcpy(buf, {arg}); return buf; }\n\nHeap corruption later, in an unrelated destructor; valgrind output differs between runs',
    difficulty: 0.58,
  },
  {
    text: 'BEGIN; UPDATE {fn} SET {key} = {key} - {n} WHERE id = 1; UPDATE {fn} SET {key} = {key} + {n} WHERE id = 2; COMMIT;\n\nTwo replicas disagree after failover; serialization anomaly with isolation level repeatable read',
    difficulty: 0.84,
  },
  {
    text: "{arg} = [1, 2, {n}\nprint({arg})\n\nSyntaxError: '[' was never closed",
    difficulty: 0.03,
  },
  {
    text: 'source {fn}.env\n./{fn}.sh: line {n}: unexpected EOF while looking for matching quote',
    difficulty: 0.08,
  },
  {
    text: "<a href='{fn}.html>{key}</a>\n\nThe link swallows the rest of the page",
    difficulty: 0.05,
  },
  { text: 'npm start\n\nError: listen EADDRINUSE: port {n} is taken by {fn}', difficulty: 0.1 },
  { text: '.{key} { colour: red; margin {n}px }\n\nThe style is ignored', difficulty: 0.06 },
  { text: 'if ({arg}.{key} = {n}) { {fn}() }\n\nThe branch is always taken', difficulty: 0.14 },
  {
    text: 'List<Integer> {arg} = {fn}();\nfor (Integer x : {arg}) if (x > {n}) {arg}.remove(x);\n\nConcurrentModificationException',
    difficulty: 0.3,
  },
  { text: '{arg} = 0.1 * {n}\nprint({arg} == {n} / 10)\n\nFalse?!', difficulty: 0.24 },
  {
    text: 'for (var i = 0; i < {n}; i++) setTimeout(() => {fn}(i), 10)\n\nIt prints the same index every time',
    difficulty: 0.26,
  },
  {
    text: 'SELECT * FROM {fn} LEFT JOIN {arg} ON {arg}.id = {fn}.id WHERE {arg}.{key} > {n}\n\nRows without a match vanish',
    difficulty: 0.32,
  },
  {
    text: 'template<class T> auto {fn}(T&& {arg}) { return [&] { return {arg}.{key} + {n}; }; }\n\nDangling reference, undefined behaviour only with -O3',
    difficulty: 0.7,
  },
  {
    text: 'while (!atomic_load(&{arg}->{key})) {fn}({n});\n\nLivelock under contention; priority inversion on two of eight cores',
    difficulty: 0.78,
  },
  {
    text: 'perf: {fn} takes {n} ms alone and 40x as long with eight threads, each writing its own {arg}[tid].{key}\n\nFalse sharing, or the allocator?',
    difficulty: 0.62,
  },
  {
    text: '{fn} leaks {n} MB a day although every {arg} is closed; heap snapshots show retained closures through a WeakMap of {key}\n\nGarbage collector roots unclear',
    difficulty: 0.6,
  },
]
const QUESTIONS = [
  "What's wrong here?\n\n{fault}",
  'Why does this fail?\n\n{fault}',
  '{fault}\n\nHow do I fix it?',
  'I get an error and cannot see why:\n\n{fault}',
  '{fault}\n\nAny idea?',
  'Please debug this for me.\n\n{fault}',
  'This used to work until {weekday}:\n\n{fault}',
  'Explain the bug and give a fix.\n\n{fault}',
  'A colleague left this behind. Find the cause:\n\n{fault}',
  'Help, production is down because of this\n\n{fault}',
]
const FUNCTIONS = words(`
  orders load_user total parse_row sync merge_all invoices next_page reserve rank accounts handler
  refill
`)
const ARGUMENTS = words(`
  items rows state queue cart scores payload node stock batch tokens entries
`)
const KEYS = words(`
  price name balance email size status created amount owner weight rating
`)
const LIBRARIES = words(`
  requests pandas redis pillow tokio boto3 yaml lxml flask
`)

/** Difficulty: the bug itself, from a typing slip to a memory-ordering bug. */
export const debugging: Family = {
  name: 'debugging',
  skill: { strong: 0.84, weak: 0.34 },
  draw(random) {
    const fault = pick(random, FAULTS)
    const slots = {
      fn: pick(random, FUNCTIONS),
      arg: pick(random, ARGUMENTS),
      key: pick(random, KEYS),
      lib: pick(random, LIBRARIES),
      n: String(between(random, 2, 400)),
    }
    const text = fault.text.replace(
      /\{(fn|arg|key|lib|n)\}/g,
      (_, name: keyof typeof slots) => slots[name],
    )
    return {
      prompt: pick(random, QUESTIONS)
        .replace(
          '{weekday}',
          pick(random, ['Monday', 'Tuesday', 'the last deploy', 'the upgrade', 'this morning']),
        )
        .replace('{fault}', () => text),
      difficulty: unit(fault.difficulty),
      answerTokens: 120 + Math.round(300 * fault.difficulty),
    }
  },
}
