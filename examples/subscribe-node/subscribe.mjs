// Every decision as a line, in JavaScript: node subscribe.mjs BOOTSTRAP_SERVERS [TOPIC] [GROUP]
// A restart goes on after the last decision that was printed.
import { Kafka, logLevel } from "kafkajs";

const [servers, topic = "holdfast.decisions", groupId = "decisions-printer"] = process.argv.slice(2);
const kafka = new Kafka({ clientId: groupId, brokers: servers.split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId });

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await consumer.disconnect(); // commits what was handled
    process.exit(0);
  });
}
await consumer.run({
  eachMessage: async ({ message, partition }) => {
    const type = message.headers.ce_type?.toString();
    if (type !== "holdfast.Decision") return; // a newer release may add types: read past those that you do not know
    const decision = JSON.parse(message.value);
    const line = [partition, message.offset, message.key, decision.action, decision.trigger_id, decision.verdict];
    console.log(line.join("\t"));
  },
});
