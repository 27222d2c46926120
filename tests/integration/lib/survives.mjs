import assert from 'node:assert/strict';

// Around a trouble with the database: what was submitted before it and in it is answered, what was accepted
// arrives, once, and the next text too.
export async function survives(rig, user, phone, hurt, heal, { padding = '', count = 20 } = {}) {
  const answers = [];
  const submit = (n) => {
    for (let i = 0; i < n; i++) answers.push({ id: rig.nextId(), text: rig.secret(rig.text() + padding) });
    rig.provider.submit(answers.slice(-n).map(({ id, text }) => rig.provider.text(user, id, phone.e164, text)));
  };
  submit(count);
  await hurt();
  submit(count);
  await heal();
  const open = () => answers.filter(({ id }) => !rig.provider.result(user, id));
  await rig.provider.until(() => open().length === 0, 'every submit is answered', 40000);
  // What a passing trouble refused is submitted again, as a backend does.
  for (const { id, text } of answers) {
    for (let tries = 0; !rig.provider.result(user, id)?.accepted; tries++) {
      const { error } = rig.provider.result(user, id);
      assert.ok(tries < 100 && error.retryAfter, `${id}: ${JSON.stringify(error)}`);
      if (rig.provider.user(user).link !== 'UP') await rig.provider.attachAndWait(user);
      await rig.provider.send(user, id, phone.e164, text);
    }
  }
  const shown = await rig.sim.waitForInbox(phone.number, (all) => all.length >= answers.length);
  assert.deepEqual(shown.map((m) => m.text).sort(), answers.map(({ text }) => text).sort());
  phone.texts.push(...shown.map((m) => m.text));
  await rig.works(user, phone);
}
