// The AWS SDK for JavaScript, version 3: its commands, waiters and paginators. Run by Node beside its `node_modules`:
// `node javascript_flow.mjs IMAGE KEY_NAME GROUP`. It prints the instance's public address and waits for its standard
// input to end, then cleans up.

import assert from "node:assert/strict";
import * as sdk from "@aws-sdk/client-ec2";

const [imageId, keyName, group] = process.argv.slice(2);
const client = new sdk.EC2Client({ maxAttempts: 1 });
const patience = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 };
const ask = (name, input = {}) => client.send(new sdk[`${name}Command`](input));

async function all(pages, key) {
  const found = [];
  for await (const page of pages) found.push(...(page[key] ?? []));
  return found;
}

async function launch() {
  const launched = await ask("RunInstances", {
    ImageId: imageId,
    InstanceType: "t2.nano",
    MinCount: 1,
    MaxCount: 1,
    KeyName: keyName || undefined,
    SecurityGroups: group ? [group] : undefined,
    TagSpecifications: [{ ResourceType: "instance", Tags: [{ Key: "Name", Value: "<ä & 'b'>" }] }],
  });
  const id = launched.Instances[0].InstanceId;
  assert.equal(launched.Instances[0].NetworkInterfaces[0].Attachment.DeviceIndex, 0);
  await sdk.waitUntilInstanceRunning(patience, { InstanceIds: [id] });
  const wanted = [{ Name: "tag:Name", Values: ["<ä & 'b'>"] }, { Name: "instance-state-name", Values: ["running"] }];
  const reservations = await all(sdk.paginateDescribeInstances({ client }, { Filters: wanted }), "Reservations");
  assert.deepEqual(reservations.map((one) => one.Instances[0].InstanceId), [id]);
  const instance = reservations[0].Instances[0];
  assert.ok(instance.LaunchTime instanceof Date);
  return instance;
}

async function images(instance) {
  const { ImageId } = await ask("CreateImage", { InstanceId: instance.InstanceId, Name: "by-node", NoReboot: true });
  await sdk.waitUntilImageAvailable(patience, { ImageIds: [ImageId] });
  const [image] = (await ask("DescribeImages", { ImageIds: [ImageId] })).Images;
  assert.equal(image.RootDeviceType, "ebs");
  await ask("DeregisterImage", { ImageId });
  for (const device of image.BlockDeviceMappings) await ask("DeleteSnapshot", { SnapshotId: device.Ebs.SnapshotId });
}

async function volumes(instance) {
  const place = { AvailabilityZone: instance.Placement.AvailabilityZone, Size: 1, VolumeType: "gp3" };
  const { VolumeId } = await ask("CreateVolume", place);
  await sdk.waitUntilVolumeAvailable(patience, { VolumeIds: [VolumeId] });
  await ask("AttachVolume", { VolumeId, InstanceId: instance.InstanceId, Device: "/dev/sdf" });
  await sdk.waitUntilVolumeInUse(patience, { VolumeIds: [VolumeId] });
  await ask("DetachVolume", { VolumeId });
  await sdk.waitUntilVolumeAvailable(patience, { VolumeIds: [VolumeId] });
  await ask("DeleteVolume", { VolumeId });
  await sdk.waitUntilVolumeDeleted(patience, { VolumeIds: [VolumeId] });
}

async function groups() {
  const { GroupId } = await ask("CreateSecurityGroup", { GroupName: "by-node", Description: "d" });
  const range = { IpProtocol: "tcp", FromPort: 80, ToPort: 80, IpRanges: [{ CidrIp: "0.0.0.0/0" }] };
  await ask("AuthorizeSecurityGroupIngress", { GroupId, IpPermissions: [range] });
  const again = ask("AuthorizeSecurityGroupIngress", { GroupId, IpPermissions: [range] });
  await assert.rejects(again, { name: "InvalidPermission.Duplicate" });
  await ask("DeleteSecurityGroup", { GroupId });
}

async function types() {
  const found = await all(sdk.paginateDescribeInstanceTypes({ client, pageSize: 50 }, {}), "InstanceTypes");
  assert.ok(found.length > 100);
}

async function refusals() {
  await assert.rejects(ask("DescribeInstances", { InstanceIds: ["i-0123456789abcdef0"] }), {
    name: "InvalidInstanceID.NotFound",
  });
  await assert.rejects(ask("CreateVolume", { AvailabilityZone: "us-east-1a", Size: 1, DryRun: true }), {
    name: "DryRunOperation",
  });
}

const instance = await launch();
console.log(instance.PublicIpAddress);
for await (const _line of process.stdin);
await images(instance);
await volumes(instance);
await groups();
await types();
await refusals();
await ask("TerminateInstances", { InstanceIds: [instance.InstanceId] });
await sdk.waitUntilInstanceTerminated(patience, { InstanceIds: [instance.InstanceId] });
