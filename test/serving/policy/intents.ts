/**
 * An intent set in the style of the public ones (CLINC150, Banking77): requests to an assistant, some intents
 * apart, some next to each other, and questions that are none of them, near and far. Written for this test
 * after the way of fitting was settled on other sets, and never tuned on.
 */
const lines = (text: string): string[] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim())

export const INTENTS: Readonly<Record<string, readonly string[]>> = {
  order_status: lines(`
    where is my order
    has my package been shipped yet
    track order 55321
    when will my parcel get here
    my delivery is late
    what's the status of my purchase
    the shoes I bought haven't arrived
    is my order out for delivery
    how long until my package comes
    I never got the thing I ordered
    can you look up my shipment
    did my order go through`),
  refund: lines(`
    I want my money back
    how do I return these shoes
    refund my last purchase
    the shirt doesn't fit, can I send it back
    start a return for my order
    I'd like to get a refund for the broken lamp
    what's your return policy
    when will I get my refund
    this product is faulty and I want to return it
    how many days do I have to send something back
    give me back what I paid
    can I exchange this for another size`),
  cancel_plan: lines(`
    cancel my subscription
    I want to stop my membership
    end my plan at the end of the month
    how do I unsubscribe from premium
    please don't renew my subscription
    terminate my contract
    I no longer want to pay for this service
    turn off auto renewal
    quit my gym membership
    close out my monthly plan
    I'd like to cancel before the free trial ends
    stop charging me every month`),
  password: lines(`
    I forgot my password
    reset my password please
    I can't log in to my account
    how do I change my password
    my login doesn't work
    send me a link to set a new password
    I'm locked out of my account
    the site says my password is wrong
    recover my account
    need a new password
    what do I do if I can't remember my login
    unlock my user account`),
  appointment: lines(`
    make an appointment with the doctor
    I need to see a dentist next week
    book a haircut for Thursday
    when is the next free slot at the clinic
    schedule a visit with my physician
    can I get an appointment tomorrow morning
    reschedule my check-up
    set up a time to see the eye doctor
    move my dentist appointment to Friday
    I'd like to come in for a consultation
    is Dr. Miller available on Monday
    arrange a vaccination appointment`),
  restaurant: lines(`
    reserve a table for four at eight
    find a good sushi place nearby
    where can I eat Italian food
    is there a vegan restaurant around here
    book dinner for two on Saturday
    recommend a place for brunch
    which restaurants are open late
    get us a table at the steakhouse
    any cheap places to eat downtown
    I'm hungry for Thai, where should I go
    what's the best burger place in town
    table for six tonight at a seafood restaurant`),
  alarm: lines(`
    wake me up at six
    set an alarm for seven thirty
    turn off my alarm
    I need to get up at five tomorrow
    change my alarm to eight
    snooze for ten minutes
    make an alarm for weekdays at six
    cancel tomorrow's alarm
    what alarms have I set
    ring at noon
    alarm in twenty minutes
    delete all my alarms`),
  traffic: lines(`
    how is traffic on the way to work
    is there a jam on the highway
    how long does it take to drive home
    fastest way to the airport by car
    are there any accidents on route 66
    is the bridge closed today
    avoid the traffic downtown
    give me directions to the stadium
    what's the traffic like on main street
    how do I get to the train station
    navigate to the nearest gas station
    which road should I take to the beach`),
  translate: lines(`
    how do you say thank you in Japanese
    translate good night into French
    what is the Spanish word for dog
    say I love you in Italian
    what does guten Tag mean in English
    put this sentence into German
    how would I ask for the bill in Portuguese
    translate this email to Chinese
    what's hello in Korean
    how do I say where is the toilet in Greek
    the Russian word for bread please
    give me this paragraph in Dutch`),
  define: lines(`
    what does ubiquitous mean
    define serendipity
    what is the meaning of the word obsolete
    look up the definition of irony
    what is a synonym for happy
    explain the term inflation
    how is the word entrepreneur spelled
    tell me what verbose means
    give me the definition of osmosis
    what does it mean to procrastinate
    is there another word for important
    dictionary entry for candid`),
}

/** Next to the intents: the same words, another wish. */
export const NEAR: readonly string[] = lines(`
  how much does shipping cost
  do you have these shoes in blue
  I want to buy a gift card
  is this jacket on sale
  leave a review for my order
  upgrade my plan to premium
  what do I get with the membership
  how much is the subscription
  change the email address of my account
  delete my account and all my data
  how do I turn on two factor login
  I have a headache, what should I take
  is the flu going around
  what does my health insurance cover
  how do I cook sushi at home
  how many calories are in a burger
  order a pizza for delivery
  what time is it in London
  start a timer for pasta
  remind me to call the plumber
  when does the next bus leave
  how do I renew my driving licence
  how much is a new car
  where did I park
  how many people speak Chinese
  teach me to play chess in German class
  who invented the Greek alphabet
  write a poem with the word candid
  correct the grammar of this sentence
  what is the longest English novel`)

/** Far from all of them. */
export const FAR: readonly string[] = lines(`
  who painted the Mona Lisa
  what is 17 times 23
  how deep is the ocean
  fix the bug in my Python code
  why is the sky blue
  who won the election in 1960
  how do plants make oxygen
  tell me a joke about cats
  how far away is Mars
  my screen keeps flickering
  prove that the square root of two is irrational
  write a short story about a dragon
  will it rain on Sunday
  what is the population of Brazil
  how do I knit a scarf
  play something relaxing
  which team won last night
  how old is the universe
  what should I name my cat
  how do I plant tomatoes
  what's the boiling point of water
  summarize the plot of Hamlet
  how does a jet engine work
  how many bones are in the body
  what's my horoscope
  turn on the kitchen light
  is gold a good investment
  can dogs eat chocolate
  how do I remove a wine stain
  what year did the Titanic sink`)
