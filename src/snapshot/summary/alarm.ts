export interface SnapshotAlarm {
  /** Member ID in hex; "0" when the alarm names no member. */
  memberID: string;
  /** NOSPACE or CORRUPT; a type unknown here as `alarm 3`. */
  alarm: string;
}

const memberTag = 0x08;
const alarmTag = 0x10;
const alarmNames: Readonly<Record<string, string>> = { "0": "NONE", "1": "NOSPACE", "2": "CORRUPT" };

/** A key of the `alarm` bucket: etcdserverpb.AlarmMember with memberID = 1 (u64) and alarm = 2 (enum), both varints. */
export function decodeAlarm(bytes: Uint8Array): SnapshotAlarm | undefined {
  let member = 0n;
  let alarm = 0n;
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at++];
    if (tag !== memberTag && tag !== alarmTag) return undefined;
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) return undefined;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (tag === memberTag) member = value;
    else alarm = value;
  }
  return { memberID: member.toString(16), alarm: alarmNames[alarm.toString()] ?? `alarm ${alarm}` };
}
