import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The rule of {@code rule.py} in Kafka Streams, as its manual teaches it: the DSL, hopping windows, an aggregate for
 * each tenant in the default store, JSON by Jackson, the default settings. Only {@code read} and {@code report}
 * belong to the bench.
 */
public final class ShortCalls {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long SHORT_MS = 6_000;
    private static final double RATIO = 0.25;
    private static final long LEAST = 30;
    private static final AtomicLong read = new AtomicLong();

    /** The fields of a call that the rule needs. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Call {
        public String direction;
        public long end_ms;
        public Long answer_ms;
    }

    /** The calls of a tenant in a window. */
    public static final class Counts {
        public long answered;
        public long shorter;

        Counts add(Call call) {
            long talked_ms = call.end_ms - call.answer_ms;
            answered++;
            shorter += 0 < talked_ms && talked_ms <= SHORT_MS ? 1 : 0;
            return this;
        }

        boolean exceeds() {
            return answered >= LEAST && (double) shorter / answered > RATIO;
        }
    }

    private static <T> Serde<T> json(Class<T> type) {
        return Serdes.serdeFrom(
                (topic, value) -> {
                    try {
                        return value == null ? null : JSON.writeValueAsBytes(value);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                },
                (topic, data) -> {
                    try {
                        return data == null ? null : JSON.readValue(data, type);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                });
    }

    private static long ended(ConsumerRecord<Object, Object> record, long partitionTime) {
        return ((Call) record.value()).end_ms;
    }

    private static void report(String event, long records) {
        System.out.println("{\"event\":\"" + event + "\",\"records\":" + records + "}");
    }

    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> environment = System.getenv();
        String application = environment.get("BENCH_APP");
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment.get("CALLWARDEN_BOOTSTRAP_SERVERS"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, environment.get("BENCH_FOLDER"));
        settings.put("auto.offset.reset", "earliest");

        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(
                        environment.get("CALLWARDEN_INPUT_PREFIX") + "cdr",
                        Consumed.with(Serdes.String(), json(Call.class))
                                .withTimestampExtractor(ShortCalls::ended))
                .peek((tenant, call) -> read.incrementAndGet())
                .filter((tenant, call) -> "outbound".equals(call.direction) && call.answer_ms != null)
                .groupByKey(Grouped.with(Serdes.String(), json(Call.class)))
                .windowedBy(
                        TimeWindows.ofSizeAndGrace(Duration.ofHours(4), Duration.ofHours(1))
                                .advanceBy(Duration.ofMinutes(15)))
                .aggregate(
                        Counts::new,
                        (tenant, call, counts) -> counts.add(call),
                        Materialized.<String, Counts, WindowStore<Bytes, byte[]>>as("counts")
                                .withKeySerde(Serdes.String())
                                .withValueSerde(json(Counts.class)))
                .toStream()
                .filter((window, counts) -> counts.exceeds())
                .map((window, counts) -> KeyValue.pair(window.key(), counts))
                .to(application + "-alerts", Produced.with(Serdes.String(), json(Counts.class)));

        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.start();
        while (read.get() == 0) {
            Thread.sleep(10);
        }
        report("ready", 0);
        while (true) {
            report("read", read.get());
            Thread.sleep(100);
        }
    }
}
