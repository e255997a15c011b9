/** What the cpu device is opened with. Names no type of WebAssembly, which a consumer's compiler may not know. */
export interface CpuOptions {
  /** Threads, the main one included; as many as the machine has processors unless given, or SLUICE_THREADS. */
  readonly threads?: number
  /** 'plain', 'relaxed', 'wide' (see simd.ts), or 'auto', the fastest that works here; 'auto' unless given, or SLUICE_SIMD. */
  readonly simd?: string
}
