/** The adapter that the other WebGPU tests stand on computes, and is the one that the project asked for. */
import { expect, test } from 'vitest'
import { adapterOrReason, describeWebgpu, rawDevice } from './adapter.ts'

describeWebgpu('adapter', () => {
  test('is the driver of the project', async ({ task }) => {
    const adapter = await adapterOrReason()
    if (typeof adapter === 'string') throw new Error(adapter)
    const expected: Record<string, RegExp> = { swiftshader: /swiftshader/i, lavapipe: /llvmpipe/i }
    const { description, device, architecture } = adapter.info
    expect(`${description} ${device} ${architecture}`).toMatch(expected[task.file.projectName ?? ''] ?? /./)
  })

  test('computes', async () => {
    const device = await rawDevice()
    const code = `@group(0) @binding(0) var<storage, read_write> x : array<f32>;
      @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id : vec3<u32>) { x[id.x] = f32(id.x) * 2; }`
    const pipeline = device.createComputePipeline({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }) },
    })
    const x = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC })
    const back = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [{ binding: 0, resource: { buffer: x } }],
      }),
    )
    pass.dispatchWorkgroups(1)
    pass.end()
    encoder.copyBufferToBuffer(x, 0, back, 0, 16)
    device.queue.submit([encoder.finish()])
    await back.mapAsync(GPUMapMode.READ)
    expect([...new Float32Array(back.getMappedRange())]).toEqual([0, 2, 4, 6])
  })
})
