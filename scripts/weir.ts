#!/usr/bin/env node
import { runWeir } from './cli/program.ts'

// the reader of a pipe may stop early, as `head` does
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

process.exitCode = await runWeir(process.argv.slice(2))
