/** Gradients of the sequence operations: first and second order, linearity, the adjoint of broadcasting. */
import { gradientSuite } from './suites.ts'

gradientSuite('sequence')
