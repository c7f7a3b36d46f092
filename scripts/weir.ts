#!/usr/bin/env node
import { runWeir } from './program.ts'

process.exitCode = await runWeir(process.argv.slice(2))
