import { describe, expect, it } from 'vitest'
import { readTarget, type TargetFlags } from '../../scripts/cli/calibration-target.ts'
import { calibrateCommand } from '../../scripts/cli/commands/calibrate.ts'

/** The target that a command line states. */
function targetOf(line: string) {
  const command = calibrateCommand()
  command.parseOptions(line.split(' '))
  return readTarget(command.opts<TargetFlags>(), 'threshold')
}

describe('the target of weir calibrate', () => {
  it.each<[string, object]>([
    ['--strong-share 0.3', { kind: 'strong-share', share: 0.3 }],
    ['--quality 0.95', { kind: 'quality', pgr: 0.95 }],
    ['--quality 0.9 --confidence 0.8', { kind: 'quality', pgr: 0.9, confidence: 0.8 }],
    ['--match strong --within 0.01', { kind: 'match', within: 0.01 }],
    ['--budget 2.50', { kind: 'budget', usd_per_1k: 2.5, confidence: 0.9 }],
    ['--max-loss 0.02 --confidence 0.95', { kind: 'max-loss', loss: 0.02, confidence: 0.95 }],
    ['--max-harm 0.05', { kind: 'max-harm', harm: 0.05 }],
  ])('reads %s', (line, target) => {
    expect(targetOf(line)).toEqual(target)
  })

  it.each<[string, RegExp]>([
    ['--seed 1', /exactly one of --strong-share.*got none/],
    ['--strong-share 0.3 --budget 1', /exactly one of .* got --strong-share and --budget/],
    ['--strong-share 30', /a number from 0 to 1 for --strong-share, got 30/],
    ['--strong-share 0.3 --confidence 0.9', /no --confidence with --strong-share/],
    ['--match gpt-4 --within 0.1', /expected one of strong for --match, got gpt-4/],
    ['--match strong', /--within/],
    ['--budget 0', /--budget/],
    ['--max-loss low', /--max-loss, got low/],
    ['--max-loss 0.02 --confidence 90', /--confidence, got 90/],
  ])('refuses %s', (line, message) => {
    expect(() => targetOf(line)).toThrow(message)
  })
})

describe('the target of weir calibrate for a router among many models', () => {
  it('is one of four; dollars and losses are promised at 90% unless said otherwise', () => {
    expect(readTarget({ costPer1k: 2 }, 'rule')).toEqual({
      kind: 'budget',
      usd_per_1k: 2,
      confidence: 0.9,
    })
    expect(readTarget({ bestShare: 0.98 }, 'rule')).toEqual({ kind: 'best-share', share: 0.98 })
    expect(readTarget({ quality: 0.9, confidence: 0.8 }, 'rule')).toMatchObject({
      pgr: 0.9,
      confidence: 0.8,
    })
    expect(readTarget({ maxLoss: 0.02 }, 'rule')).toMatchObject({ loss: 0.02, confidence: 0.9 })
  })

  it('refuses none, two, and what is about a pair', () => {
    expect(() => readTarget({}, 'rule')).toThrow(/exactly one of/)
    expect(() => readTarget({ budget: 1, maxLoss: 0.1 }, 'rule')).toThrow(/exactly one of/)
    const pair = { strongShare: 0.3, unlabelled: [] }
    expect(() => readTarget(pair, 'rule')).toThrow(/--strong-share/)
    const method = { bestShare: 0.9, method: 'betting' }
    expect(() => readTarget(method, 'rule')).toThrow(/--method/)
  })
})
