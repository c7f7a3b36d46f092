import { hash } from 'node:crypto'

/** SHA-256 of the prompt's exact text as UTF-8, in hex: the key under which a prompt is known everywhere. */
export function promptHash(text: string): string {
  return hash('sha256', text, 'hex')
}

/** Hex digits a bundle keeps of each training prompt's hash: 64 bits, about 1e-8 false matches in a million rows. */
export const HASH_PREFIX_LENGTH = 16
