import { WeirError } from '../../core/errors.ts'

/** Files of a repository on a hub that uses Hugging Face's protocol. */
export interface HubReference {
  readonly type: 'datasets' | 'models'
  /** owner/name */
  readonly repo: string
  readonly revision: string
  /** one file or folder; all log files if absent */
  readonly path?: string
}

interface KnownSet {
  readonly id: string
  readonly reference: HubReference
  readonly about: string
}

/** Well-known data sets to start from. */
export const KNOWN_SETS: readonly KnownSet[] = [
  {
    id: 'lmsys-arena-55k',
    reference: dataset('lmsys/lmsys-arena-human-preference-55k', 'train.csv'),
    about: '57,477 human votes between 64 models (LMSYS Arena; CC BY-NC 4.0)',
  },
  {
    id: 'routellm-gpt4-judge',
    reference: dataset('routellm/gpt4_dataset'),
    about: "109,101 prompts, Mixtral's answer rated by GPT-4 against its own (RouteLLM)",
  },
  {
    id: 'routerbench',
    reference: dataset('withmartian/routerbench', 'routerbench_0shot.pkl'),
    about:
      'scores and costs of 11 models on 36,497 prompts (a Python pickle, to be saved as Parquet)',
  },
]

function dataset(repo: string, path?: string): HubReference {
  return { type: 'datasets', repo, revision: 'main', ...(path !== undefined && { path }) }
}

const NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/

/** A known id, or `hf://datasets/owner/name@revision/path` (`hf://owner/name...` for a model). */
export function parseReference(text: string): HubReference {
  const known = KNOWN_SETS.find(({ id }) => id === text)
  if (known) return known.reference
  const invalid = (): never => {
    throw new WeirError('option_invalid', {
      option: 'what to fetch',
      expected: `one of ${KNOWN_SETS.map(({ id }) => id).join(', ')} or hf://datasets/owner/name[@revision][/path]`,
      got: text,
    })
  }
  if (!text.startsWith('hf://')) return invalid()
  const parts = text.slice('hf://'.length).split('/')
  const type = parts[0] === 'datasets' ? 'datasets' : 'models'
  if (parts[0] === 'datasets' || parts[0] === 'models') parts.shift()
  const [owner, named = '', ...rest] = parts
  const [name, revision = 'main'] = named.split('@')
  const repo = `${owner}/${name}`
  const path = rest.join('/')
  const climbs = [...rest, ...revision.split('%2F')].some((part) => part === '..' || part === '.')
  if (!NAME.test(repo) || revision === '' || climbs) return invalid()
  return { type, repo, revision: decodeURIComponent(revision), ...(path !== '' && { path }) }
}
