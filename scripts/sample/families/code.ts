import { capitalised, fill, listed, pick, several, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases, words } from '../lists.ts'

const LANGUAGES = words(`
  Python TypeScript Go Java Ruby Kotlin C# PHP Swift Rust C++
`)
const EASY = phrases(`
  reverses a string | checks whether a number is even | counts the vowels in a word |
  returns the largest item of a list | formats a date as DD/MM/YYYY |
  removes duplicates from an array | joins file names with a dash | converts Celsius to Fahrenheit |
  pads a number with zeros | capitalises each word of a title | sums the digits of an integer |
  trims spaces from each line | returns the last element of a list or null |
  swaps the keys and values of a map | prints a multiplication table
`)
const MIDDLE = phrases(`
  parses a CSV file with quoted fields | groups orders by customer and month |
  retries an HTTP call with exponential backoff | flattens nested JSON into dotted keys |
  finds the shortest path in a grid | validates an IBAN | merges overlapping date ranges |
  paginates through a REST API | renders a Markdown table from objects | implements an LRU cache |
  diffs two configuration files | tokenises arithmetic expressions and evaluates them |
  schedules tasks by priority and deadline
`)
const HARD = [
  'implements a lock-free concurrent queue with hazard pointers',
  'applies operational transforms for a collaborative editor',
  'compiles regular expressions to a minimal DFA',
  'implements a B+ tree with crash-safe write-ahead logging',
  'performs Raft leader election with pre-vote',
  'schedules a concurrent work-stealing thread pool',
  'solves bipartite matching with weighted edges',
  'implements a generational garbage collector for a toy VM',
  'infers types for a lambda calculus with row polymorphism',
  'implements a suffix automaton over Unicode grapheme clusters',
  'maintains a persistent segment tree with lazy propagation',
  'verifies Merkle proofs for a sparse concurrent trie',
]
const CONSTRAINTS = phrases(`
  handles invalid input | uses no external libraries | has a short docstring |
  is covered by two unit tests | logs every failure | accepts a timeout | works on streams |
  is fully typed
`)
const DEMANDS = phrases(`
  runs in amortised constant time | never blocks the event loop | is safe under concurrent writers |
  bounds memory at 64 KB | is proven free of deadlock |
  gives bit-identical results on every platform | supports cancellation halfway through
`)
const OPENERS = [
  'Write a {language} function that {task}',
  'In {language}, I need something that {task}',
  '{language}: please give me a helper that {task}',
  'Could you code a small {language} module that {task}',
  "I'm building a side project in {language}. Show me code that {task}",
  'Implement this in {language}: it {task}',
  'Need a {language} snippet that {task}',
  'Our team uses {language}; write a class that {task}',
]

/** Difficulty: the task's kind, and how many demands come with it. */
export const code: Family = {
  name: 'code',
  skill: { strong: 0.86, weak: 0.36 },
  draw(random) {
    const kind = random.int(3)
    const soft = random.int(4)
    const strict = kind === 0 ? 0 : random.int(3)
    const wanted = [...several(random, CONSTRAINTS, soft), ...several(random, DEMANDS, strict)]
    const opener = fill(random, pick(random, OPENERS), {
      language: LANGUAGES,
      task: pick(random, [EASY, MIDDLE, HARD][kind]!),
    })
    const rest =
      wanted.length === 0
        ? '.'
        : `. ${capitalised(pick(random, ['make sure it', 'it', 'check that it', 'the result']))} ${listed(wanted)}.`
    return {
      prompt: opener + rest,
      difficulty: unit([0.04, 0.32, 0.64][kind]! + 0.02 * soft + 0.1 * strict),
      answerTokens: 120 + 220 * kind + 60 * (soft + strict),
    }
  },
}
