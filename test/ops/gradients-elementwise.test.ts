/** Gradients of the elementwise operations: first and second order, linearity, the adjoint of broadcasting. */
import { gradientSuite } from './suites.ts'

gradientSuite('elementwise')
